"""Fill what is measured, and what is code, into the documentation: `python docs/generate.py`; `--check` only looks.

Between `<!-- generated: NAME -->` and `<!-- end -->` a page has what is made here of the JSON files in docs/results,
which the commands of this repository wrote. Nobody types a figure.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from lockstream.contrast.patterns.side_by_side import both_styles
from lockstream.contrast.report import tables
from lockstream.contrast.report.words import duration
from lockstream.contrast.results import Results, read_results
from lockstream.profiling.results import read_comparison
from lockstream.profiling.scaling.results import read_scaling
from lockstream.profiling.scaling.tables import tables as scaling_tables
from lockstream.profiling.tables import tables as profiling_tables

DOCS = Path(__file__).parent
RESULTS = DOCS / "results"
_MARKED = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, part: Callable[[str], str]) -> str:
    """Return a page's text with its marked parts made anew, each by its name."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{part(found[2]).strip()}\n\n{found[3]}", page)


def stale_pages() -> Iterator[tuple[Path, str]]:
    """Yield each page that is not what it should be, and its text as it should be."""
    contrast = read_results(RESULTS / "contrast.json")
    profiled = profiling_tables(read_comparison(RESULTS / "profiling.json"))
    for path in RESULTS.glob("scaling-*.json"):
        profiled |= scaling_tables(path.stem.removeprefix("scaling-"), read_scaling(path))
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = filled(text, lambda name: profiled[name] if name in profiled else _part(name, contrast))
        if new != text:
            yield page, new


def _part(name: str, contrast: Results) -> str:
    kind, _, what = name.partition(" ")
    if kind == "code":
        return both_styles(what)
    if kind == "experiment":
        found = next((one for one in contrast.experiments if one.name == what), None)
        if found is None:
            raise KeyError(name)
        table = tables.experiment_table(found).markdown()
        return f"{found.method}\n\n{table}\n\n{found.finding}\n\n{_source(contrast)}"
    if kind == "contrast":
        return f"{_CONTRAST[what](contrast).markdown()}\n\n{_source(contrast)}"
    raise KeyError(name)


_CONTRAST: dict[str, Callable[[Results], tables.Table]] = {
    "verdicts": lambda results: tables.verdict_table(results.verdicts),
    "latencies": lambda results: tables.summary_table(results.measurements),
    "costs": lambda results: tables.cost_table(results.measurements),
    "settings": lambda results: tables.dimension_table(results.measurements),
    "fits": lambda results: tables.fit_table(results.fits),
}


def _source(results: Results) -> str:
    machine = results.machine
    command = "lockstream contrast --quick" if results.is_quick else "lockstream contrast"
    return (
        f"<sub>`{command}`, {results.date}: {machine.processor}, {machine.cores} cores, {machine.mpi}, Kafka "
        f"{machine.kafka}; {duration(results.seconds)}.</sub>"
    )


def main() -> int:
    """Fill all pages; with ``--check`` leave them alone, and fail if one is not what the results say."""
    only_looks = "--check" in sys.argv[1:]
    stale = list(stale_pages())
    for page, new in stale:
        if not only_looks:
            page.write_text(new, encoding="utf-8")
        print(f"{page.relative_to(DOCS.parent)}: {'run python docs/generate.py' if only_looks else 'filled'}")
    return int(only_looks and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
