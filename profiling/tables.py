"""Tables of the documentation, from results: ``python -m lockstream.profiling.tables RESULTS.json PAGE.md``.

A page has each between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
"""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lockstream.profiling.report.comparison import slowdown_rows
from lockstream.profiling.report.words import place
from lockstream.profiling.results import Comparison, MergedSpot, Slowdown, read_comparison

MARK, FUNCTION = "# the hot line", "count_close"  # of examples/hot_spot.py


def tables(comparison: Comparison) -> dict[str, str]:
    """Return the tables of a comparison on the planted hot spot, by name, as Markdown."""
    return {
        "profiling-about": _about(comparison),
        "profiling-slowdown": _table(("run", "slowdown", "range", "seconds"), slowdown_rows(comparison)),
        "profiling-found": _table(
            ("tool", "shows the hot spot as", "on rank 0", "on rank 1", "imbalance", "place in its list"),
            [_found(tool) for tool in comparison.tools],
        ),
    }


def filled(page: str, generated: Mapping[str, str]) -> str:
    """Return a page with its generated parts made anew.

    Raises
    ------
    KeyError
        The page wants a part that is not there.
    """

    def part(found: re.Match[str]) -> str:
        return f"<!-- generated: {found[1]} -->\n\n{generated[found[1]]}\n\n<!-- end -->"

    return re.sub(r"<!-- generated: (\S+) -->.*?<!-- end -->", part, page, flags=re.DOTALL)


def _about(comparison: Comparison) -> str:
    machine = comparison.machine
    left_out = f"; left out: {', '.join(comparison.left_out)}" if comparison.left_out else ""
    return (
        f"`{shlex.join(comparison.command)}`, {comparison.date[:10]}, {machine.processor}, {machine.cores} cores, "
        f"load {machine.load:.1f} before the first run, {machine.system}, Python {machine.python}; "
        f"{comparison.rounds} rounds{left_out}."
    )


def _found(tool: Slowdown) -> tuple[str, ...]:
    for number, spot in enumerate(tool.spots, 1):
        if _is_hot(spot):
            shares = (f"{100 * share:.0f} %" for share in spot.shares[:2])
            return (tool.tool, f"{tool.unit} `{place(spot)}`", *shares, f"{spot.imbalance:.2f}", str(number))
    busiest = f"; number 1 is `{place(tool.spots[0])}`" if tool.spots else ""
    return (tool.tool, f"nothing that bears its name{busiest}", "", "", "", "")


def _is_hot(spot: MergedSpot) -> bool:
    return MARK in spot.text or spot.function == FUNCTION


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(results: Path, page: Path) -> None:
    """Fill a page."""
    page.write_text(filled(page.read_text(), tables(read_comparison(results))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
