"""The timeline of a run: ranks as rows, phases as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lockstream.bridge.errors import ConfigurationError
from lockstream.profiling.phases.looks import Look, looks_of, style
from lockstream.profiling.phases.run import OTHER, PhaseRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 8  # steps; more of them are too narrow to be told apart


def default_window(run: PhaseRun) -> tuple[int, int]:
    """Return a few time steps from the middle of the run; among them the one that took longest there."""
    steps = np.unique(np.concatenate([line.step for line in run.ranks]))
    if len(steps) <= WINDOW:
        return int(steps[0]), int(steps[-1])
    quarter = len(steps) // 4
    inner = steps[quarter : max(len(steps) - quarter, quarter + WINDOW)]
    line = run.ranks[0]
    spent = np.zeros(len(inner), np.int64)
    known = np.isin(line.step, inner)
    np.add.at(spent, np.searchsorted(inner, line.step[known]), (line.end - line.begin)[known])
    at = int(np.clip(int(spent.argmax()) - WINDOW // 2, 0, len(inner) - WINDOW))
    return int(inner[at]), int(inner[at + WINDOW - 1])


def draw_timeline(run: PhaseRun, window: tuple[int, int] | None = None) -> Figure:
    """Draw a window of time steps, and below it how the whole run was spent.

    Parameters
    ----------
    run
        What all ranks were doing.
    window
        First and last time step; left out, see `default_window`.

    Raises
    ------
    ConfigurationError
        If no interval of these steps is known.
    """
    from matplotlib.figure import Figure

    first, last = window or default_window(run)
    ranks = len(run.ranks)
    figure = Figure(figsize=(11, 2.7 + 0.75 * ranks), dpi=110, layout="constrained")
    rows, shares = figure.subplots(2, 1, height_ratios=(2, 1.1))
    looks = looks_of(run.names)
    _draw_rows(rows, run, looks, first, last)
    _draw_shares(shares, run, looks)
    handles, labels = shares.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    return figure


def _draw_rows(axes: Any, run: PhaseRun, looks: dict[str, Look], first: int, last: int) -> None:
    inside = [(line.step >= first) & (line.step <= last) for line in run.ranks]
    if not any(chosen.any() for chosen in inside):
        steps = np.concatenate([line.step for line in run.ranks])
        known = f"{steps.min()}:{steps.max()}"
        raise ConfigurationError(
            "--steps", f"{first}:{last}", f"no phase of these steps is known; known are {known}"
        )
    start = min(int(line.begin[c][0]) for line, c in zip(run.ranks, inside, strict=True) if c.any())
    for rank, (line, chosen) in enumerate(zip(run.ranks, inside, strict=True)):
        for number, name in enumerate(run.names):
            mine = chosen & (line.phase == number)
            bars = np.stack([line.begin[mine] - start, (line.end - line.begin)[mine]], axis=1) / 1e6
            axes.broken_barh(bars, (rank - 0.4, 0.8), **style(looks[name]))
    line, chosen = run.ranks[0], inside[0]
    shown, where = np.unique(line.step[chosen], return_index=True)
    begins = (line.begin[chosen][where] - start) / 1e6
    labelled = -np.inf
    for step, at in zip(shown, begins, strict=True):
        axes.axvline(at, color="0.35", lw=0.6, ls=":", zorder=0)
        if at - labelled < 0.03 * (begins[-1] - begins[0]):
            continue  # it would be written over the one before
        labelled = at
        axes.annotate(
            str(step),
            (at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, 1),
            textcoords="offset points",
            fontsize=7,
            color="0.35",
        )
    axes.set(ylim=(len(run.ranks) - 0.4, -0.6), xlabel=f"milliseconds; time steps {first} to {last}")
    _rank_labels(axes, len(run.ranks))
    axes.margins(x=0.005)


def _draw_shares(axes: Any, run: PhaseRun, looks: dict[str, Look]) -> None:
    totals = np.stack([line.totals for line in run.ranks], axis=1) / max(run.duration, 1) * 100
    shares = np.vstack([totals, np.clip(100 - totals.sum(axis=0), 0, None)])
    left = np.zeros(len(run.ranks))
    for name, share in zip((*run.names, OTHER), shares, strict=True):
        if share.max() >= 0.05:
            axes.barh(range(len(run.ranks)), share, left=left, height=0.8, label=name, **style(looks[name]))
        left += share
    axes.set(xlim=(0, 100), ylim=(len(run.ranks) - 0.4, -0.6))
    axes.set_xlabel(f"% of the whole run, {run.duration / 1e9:.3g} s")
    _rank_labels(axes, len(run.ranks))


def _rank_labels(axes: Any, ranks: int) -> None:
    shown = range(0, ranks, max(1, ranks // 32))
    axes.set_yticks(shown, [f"rank {rank}" for rank in shown], fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
