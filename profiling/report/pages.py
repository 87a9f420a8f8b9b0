"""Reports as files: a page that needs nothing else, and the same as Markdown."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from lockstream.profiling.report.words import place


def write_pages(folder: Path, template: str, values: Mapping[str, Any]) -> None:
    """Write ``report.html`` and ``report.md`` from ``TEMPLATE.html.j2`` and ``TEMPLATE.md.j2``."""
    for suffix in ("html", "md"):
        page = _environment().get_template(f"{template}.{suffix}.j2")
        (folder / f"report.{suffix}").write_text(page.render(values), encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lockstream.profiling.report", ""),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda share: f"{100 * share:.1f} %",
        "seconds": lambda value: f"{value:.3g}",
        "ratio": lambda value: f"{value:.2f}",
        "place": place,
        "shell": shlex.join,
        "cell": lambda text: " ".join(str(text).split()).replace("|", "\\|"),
    }
    environment.tests["heavier"] = lambda seconds, least: sum(seconds) >= least
    return environment
