"""The plot of a measurement of scaling: speed-up against the law, and what the time consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lockstream.profiling.phases.looks import looks_of, style
from lockstream.profiling.scaling.fits import amdahl, gustafson
from lockstream.profiling.scaling.results import Scaling

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_scaling(found: Scaling) -> Figure:
    """Draw the speed-ups with ideal and fit, and beside them the phases of the critical path."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_speedups(left, found)
    _draw_parts(right, found)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("ranks")
    return figure


def _draw_speedups(axes: Any, found: Scaling) -> None:
    law, name = (gustafson, "Gustafson") if found.is_weak else (amdahl, "Amdahl")
    ranks = np.array([point.ranks for point in found.points])
    smooth = np.linspace(1, ranks.max(), 200)
    axes.plot(smooth, smooth, color="0.5", ls="--", lw=1, label="ideal")
    label = f"{name}, serial fraction {found.fraction:.3g}"
    axes.plot(smooth, law(found.fraction, smooth), color="#0072B2", label=label)
    if found.low is not None and found.high is not None:
        band = law(found.low, smooth), law(found.high, smooth)
        axes.fill_between(smooth, *band, color="#0072B2", alpha=0.15, lw=0, label="95 % interval")
    for is_fitted, fill, word in (
        (True, "full", "measured"),
        (False, "none", "more ranks than cores, not fitted"),
    ):
        points = [point for point in found.points if point.is_fitted == is_fitted]
        if points:
            middle = np.array([point.speedup for point in points])
            reach = [
                middle - [point.low for point in points],
                np.array([point.high for point in points]) - middle,
            ]
            axes.errorbar(
                [point.ranks for point in points],
                middle,
                np.clip(reach, 0, None),
                fmt="o",
                color="#D55E00",
                fillstyle=fill,
                capsize=3,
                label=f"{word} (median, range)",
            )
    axes.set(
        ylabel="scaled speed-up" if found.is_weak else "speed-up", xticks=ranks, ylim=(0, 1.5 * ranks.max())
    )
    axes.legend(fontsize=8, frameon=False, loc="upper left")


def _draw_parts(axes: Any, found: Scaling) -> None:
    ranks = [point.ranks for point in found.points]
    looks = looks_of(tuple(part.name for part in found.parts))
    bottom = np.zeros(len(ranks))
    at = np.arange(len(ranks))
    for part in found.parts:
        axes.bar(at, part.seconds, 0.62, bottom=bottom, label=part.name, **style(looks[part.name]))
        bottom += part.seconds
    ideal = np.full(len(ranks), bottom[0]) if found.is_weak else bottom[0] / np.array(ranks)
    axes.plot(at, ideal, color="black", ls="--", lw=1, marker="_", ms=28, label="ideal")
    axes.set(ylabel="seconds, on the critical path")
    axes.set_xticks(at, [str(p) for p in ranks])
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
