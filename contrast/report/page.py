"""The report: a page to read in a browser and to print, and the same as Markdown."""

from collections.abc import Callable
from pathlib import Path

from lockstream.contrast.report import plots, tables, words
from lockstream.contrast.results import Results, write_results

HTML, MARKDOWN, JSON = "report.html", "report.md", "results.json"


def write_report(folder: Path, results: Results) -> Path:
    """Write the results as JSON, HTML and Markdown into an existing folder; return the page's path."""
    write_results(folder / JSON, results)
    pictures = draw(results)
    for name, svg in pictures.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    for name in (HTML, MARKDOWN):
        (folder / name).write_text(_render(name, results, pictures), encoding="utf-8")
    return folder / HTML


def draw(results: Results) -> dict[str, str]:
    """Return the pictures that the results are enough for, as SVG by name."""
    drawn: dict[str, Callable[[], str]] = {}
    if results.measurements:
        drawn["latency"] = lambda: plots.latency_plot(results.measurements)
    if len({m.nbytes for m in tables.usual(results.measurements) if m.throughput}) > 1:
        drawn["throughput"] = lambda: plots.throughput_plot(results.measurements)
    if results.fits:
        drawn["fits"] = lambda: plots.fit_plot(results.fits)
    return {name: picture() for name, picture in drawn.items()}


def _render(name: str, results: Results, pictures: dict[str, str]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("lockstream.contrast.report", ""),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template(f"{name}.j2")
    return template.render(results=results, pictures=pictures, tables=tables, words=words)
