"""Totals of the phases over all ranks: how long, how unevenly, how much of it waiting."""

from typing import Any

import numpy as np

from lockstream.profiling.phases.meetings import critical_path, find_arrivals, waited
from lockstream.profiling.phases.run import OTHER, PhaseRun
from lockstream.profiling.results import Record

FORMAT = 1


class PhaseTotal(Record, frozen=True, kw_only=True):
    """One phase.

    Parameters
    ----------
    name
        E.g. "halo"; "other" for what was not marked.
    seconds
        By rank.
    share
        Of the time of all ranks.
    imbalance
        The largest over the mean of the ranks; 1 is even, None if nobody was in it.
    waited_seconds
        By rank, how much of it passed before the last rank came; None if not all intervals are known.
    path_seconds
        What it contributes to the time of the run, on the critical path; None likewise.
    """

    name: str
    seconds: tuple[float, ...]
    share: float
    imbalance: float | None
    waited_seconds: tuple[float, ...] | None
    path_seconds: float | None

    @property
    def mean(self) -> float:
        """Seconds of a rank, on average."""
        return sum(self.seconds) / len(self.seconds)

    @property
    def longest(self) -> float:
        """Seconds of the rank that was in it longest."""
        return max(self.seconds)

    @property
    def mean_waited(self) -> float | None:
        """Seconds that a rank waited in it, on average."""
        return None if self.waited_seconds is None else sum(self.waited_seconds) / len(self.waited_seconds)


class PhaseSummary(Record, frozen=True, kw_only=True):
    """All phases of a run.

    Parameters
    ----------
    ranks, hosts
        How many, on which machines.
    seconds
        From the first phase's beginning to the last one's end.
    phases
        In the order of reports, "other" last.
    intervals, lost
        How many were kept, and how many did not fit into the memory of the timers, over all ranks.
    known_seconds
        Up to there all intervals are known.
    clock_uncertainty_seconds
        By how much the times of two ranks may be off from each other; the worst.
    """

    format: int = FORMAT
    ranks: int
    hosts: tuple[str, ...]
    seconds: float
    phases: tuple[PhaseTotal, ...]
    intervals: int
    lost: int
    known_seconds: float
    clock_uncertainty_seconds: float

    @property
    def waited_share(self) -> float | None:
        """Which share of all ranks' time passed with waiting for the last one."""
        parts = [phase.mean_waited for phase in self.phases]
        known = [part for part in parts if part is not None]
        return sum(known) / self.seconds if len(known) == len(parts) and self.seconds else None


def summarise(run: PhaseRun) -> PhaseSummary:
    """Sum up the phases of a run."""
    marked = np.stack([line.totals for line in run.ranks], axis=1) / 1e9
    totals = np.vstack([marked, run.duration / 1e9 - marked.sum(axis=0)]).clip(min=0)
    waiting: Any = None
    path: dict[str, int] | None = None
    if run.is_complete:
        arrivals = find_arrivals(run)
        waiting = np.vstack([waited(run, arrivals) / 1e9, np.zeros(len(run.ranks))])
        path = critical_path(run, arrivals)
    return PhaseSummary(
        ranks=len(run.ranks),
        hosts=tuple(sorted({line.host for line in run.ranks})),
        seconds=run.duration / 1e9,
        phases=tuple(
            PhaseTotal(
                name=name,
                seconds=tuple(seconds.tolist()),
                share=float(seconds.sum()) / max(float(totals.sum()), 1e-12),
                imbalance=float(seconds.max() / seconds.mean()) if seconds.any() else None,
                waited_seconds=None if waiting is None else tuple(waiting[number].tolist()),
                path_seconds=None if path is None else path[name] / 1e9,
            )
            for number, (name, seconds) in enumerate(zip((*run.names, OTHER), totals, strict=True))
        ),
        intervals=sum(len(line.begin) for line in run.ranks),
        lost=sum(line.lost for line in run.ranks),
        known_seconds=run.known_until / 1e9,
        clock_uncertainty_seconds=2 * max(line.uncertainty for line in run.ranks) / 1e9,
    )
