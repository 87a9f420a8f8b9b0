"""`make bench`: every benchmark, a table for people and a JSON file for machines."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import archiving
import compressing
import publishing
import solving
from harness import machine
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run them all, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS / "latest.json")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        folder = Path(scratch)
        results: list[dict[str, Any]] = [
            *solving.measure(arguments.rounds),
            *publishing.measure(folder, arguments.rounds),
            *archiving.measure(folder, arguments.rounds),
            *compressing.measure(arguments.rounds),
        ]
    arguments.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=2) + "\n")
    _print(results)
    print(f"\n{machine()['processor']}, {machine()['cores']} cores; written to {arguments.json}")


def _print(results: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("ratio", "measured", "goal", "reached"):
        table.add_column(heading)
    for result in results:
        goal = result.get("goal")
        reached = "" if goal is None else "yes" if result["ratio"] >= goal else "NO"
        table.add_row(result["title"], f"{result['ratio']:.2f}", "" if goal is None else f"≥ {goal}", reached)
    Console().print(table)


if __name__ == "__main__":
    main()
