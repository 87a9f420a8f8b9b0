"""The tables of the documentation on scaling, from what was measured."""

from lockstream.profiling.scaling.report import about, finding, parts_table, points_table
from lockstream.profiling.scaling.results import Scaling


def tables(name: str, found: Scaling) -> dict[str, str]:
    """Return the parts of a page on the measurement NAME, as Markdown: ``NAME-about``, ``-points`` and so on."""
    warnings = (f"**{warning}**\n" for warning in found.warnings)
    return {
        f"{name}-about": "\n".join([f"`{found.command}`", "", about(found), "", *warnings]),
        f"{name}-points": points_table(found).markdown,
        f"{name}-parts": parts_table(found).markdown,
        f"{name}-finding": " ".join(finding(found)),
    }
