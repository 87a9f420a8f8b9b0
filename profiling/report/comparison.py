"""The report of the observer effect."""

from pathlib import Path

from lockstream.profiling.report.figures import slowdown_picture
from lockstream.profiling.report.pages import write_pages
from lockstream.profiling.results import Comparison, write_json

FOUND = 5  # places of each tool


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write ``report.html``, ``report.md`` and ``report.json`` into a folder."""
    values = {
        "comparison": comparison,
        "rows": slowdown_rows(comparison),
        "found": FOUND,
        "pictures": [slowdown_picture(comparison)],
    }
    write_pages(folder, "comparison", values)
    write_json(folder / "report.json", comparison)


def slowdown_rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """Return the table: run, slowdown, its range, and the range of seconds; the bare run, the noise, comes first."""
    bare = comparison.bare
    told = [("bare, second against first", bare.median, bare.low, bare.high, bare.seconds)]
    told += [(tool.tool, tool.median, tool.low, tool.high, tool.seconds) for tool in comparison.tools]
    return [
        (name, f"{median:.2f}", f"{low:.2f} to {high:.2f}", _range(seconds))
        for name, median, low, high, seconds in told
    ]


def _range(seconds: tuple[float, ...]) -> str:
    return f"{min(seconds):.3g} to {max(seconds):.3g}"
