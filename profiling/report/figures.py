"""Pictures for reports, as SVG that stands inside a page."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lockstream.profiling.report.words import place
from lockstream.profiling.results import Comparison, MergedSpot, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPOTS = 10
COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
)  # Okabe and Ito


def svg_of(figure: "Figure") -> str:
    """Return a figure as an ``<svg>`` element whose texts are texts."""
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lockstream"}):
        written = io.StringIO()
        figure.savefig(written, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]


def shares_picture(spots: Sequence[MergedSpot]) -> Picture | None:
    """Draw the share of the busiest places, with a bar per rank; None if there is nothing to draw."""
    from matplotlib.figure import Figure

    shown = list(spots[:SPOTS])
    if not shown:
        return None
    ranks = len(shown[0].shares)
    height = 0.8 / ranks
    figure = Figure(figsize=(8, 0.8 + len(shown) * max(0.35, 0.14 * ranks)))
    axes = figure.add_subplot()
    for rank in range(ranks):
        rows = [number + (rank - (ranks - 1) / 2) * height for number in range(len(shown))]
        widths = [100 * spot.shares[rank] for spot in shown]
        axes.barh(rows, widths, height, color=COLOURS[rank % len(COLOURS)], label=f"rank {rank}")
    axes.set_yticks(range(len(shown)), [_short(place(spot)) for spot in shown])
    axes.invert_yaxis()
    axes.set_xlabel("% of the rank's time")
    axes.spines[["top", "right"]].set_visible(False)
    if 1 < ranks <= len(COLOURS):
        axes.legend(frameon=False)
    return Picture(title="Share of the busiest places on each rank", svg=svg_of(figure))


def slowdown_picture(comparison: Comparison) -> Picture:
    """Draw each tool's slowdown with its range, over the band in which bare runs differ."""
    from matplotlib.figure import Figure

    tools = comparison.tools
    figure = Figure(figsize=(8, 1.2 + 0.4 * len(tools)))
    axes = figure.add_subplot()
    axes.axvspan(comparison.bare.low, comparison.bare.high, color="#bbbbbb", label="bare against bare", lw=0)
    reach = [[tool.median - tool.low for tool in tools], [tool.high - tool.median for tool in tools]]
    axes.errorbar(
        [tool.median for tool in tools], range(len(tools)), xerr=reach, fmt="o", color=COLOURS[0], capsize=4
    )
    axes.set_yticks(range(len(tools)), [tool.tool for tool in tools])
    axes.set_ylim(len(tools) - 0.5, -0.5)
    axes.set_xlabel("time against the bare run (median and range of the rounds)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return Picture(title="How much each tool slows the run down", svg=svg_of(figure))


def _short(text: str, most: int = 48) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
