"""`make bench`: every benchmark, a table for people and a JSON file for machines."""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import archiving
import compressing
import latency
import observing
import publishing
import solving
from harness import machine
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
WIDTH = 160
BENCHMARKS: dict[str, Callable[..., list[dict[str, Any]]]] = {
    "solving": lambda _folder, rounds=5: solving.measure(rounds),
    "publishing": publishing.measure,
    "observing": observing.measure,
    "latency": latency.measure,
    "archiving": archiving.measure,
    "compressing": lambda _folder, rounds=5: compressing.measure(rounds),
}


def main() -> None:
    """Run them all, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="left out, as many as each benchmark needs")
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="repeatable")
    parser.add_argument("--json", type=Path, default=RESULTS / "latest.json")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        folder = Path(scratch)
        results: list[dict[str, Any]] = []
        rounds = {} if arguments.rounds is None else {"rounds": arguments.rounds}
        for name in arguments.only or BENCHMARKS:
            results += BENCHMARKS[name](folder, **rounds)
    arguments.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=2) + "\n")
    _print(results)
    print(f"\n{machine()['processor']}, {machine()['cores']} cores; written to {arguments.json}")


def _print(results: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("ratio", "measured", "goal", "reached", "CPU", "MB/s"):
        table.add_column(heading)
    for result in results:
        if "ratio" not in result:
            table.add_row(result["title"], "–", "", result["note"])
            continue
        cpu = f"{result['cpu']:.2f}" if "cpu" in result else ""
        rate = f"{result['megabytes_per_second']:.0f}" if "megabytes_per_second" in result else ""
        table.add_row(result["title"], f"{result['ratio']:.2f}", *_against_goal(result), cpu, rate)
    Console(width=max(Console().width, WIDTH), markup=False).print(table)  # as wide into a file


def _against_goal(result: dict[str, Any]) -> tuple[str, str]:
    """Return the goal, a lower or an upper bound, and whether it is reached; empty if there is none.

    A difference smaller than the noise says neither yes nor no.
    """
    if "goal" in result:
        goal, is_reached = f"≥ {result['goal']}", result["ratio"] >= result["goal"]
    elif "at_most" in result:
        goal, is_reached = f"≤ {result['at_most']}", result["ratio"] <= result["at_most"]
    else:
        return "", ""
    distance = abs(result["ratio"] - result.get("goal", result.get("at_most")))
    if distance < result.get("noise", 0.0):
        return goal, f"cannot be judged: noise ±{result['noise']:.1f}"
    return goal, "yes" if is_reached else "NO"


if __name__ == "__main__":
    main()
