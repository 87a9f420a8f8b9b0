"""Phases of ranks as a test says they were."""

from collections.abc import Sequence

import numpy as np

from lockstream.mpi_jobs.clocks import ClockReading
from lockstream.mpi_jobs.phase_files import RankPhases

Interval = tuple[str, int, int]  # phase, begin, end
HERE = ClockReading(local=0, offset=0, uncertainty=0)


def rank_phases(
    rank: int,
    ranks: int,
    intervals: Sequence[Interval],
    *,
    step: int = 0,
    lost: int = 0,
    clocks: tuple[ClockReading, ...] = (HERE,),
) -> RankPhases:
    """A rank that did this, all in one time step."""
    names = tuple(dict.fromkeys(name for name, _, _ in intervals))
    begin, end = (np.array([interval[i] for interval in intervals], np.int64) for i in (1, 2))
    totals = [sum(e - b for n, b, e in intervals if n == name) for name in names]
    return RankPhases(
        rank=rank,
        ranks=ranks,
        host=f"node{rank}",
        mark="0" * 32,
        names=names,
        totals=tuple(totals),
        lost=lost,
        until=int(end[-1]),
        clocks=clocks,
        begin=begin,
        end=end,
        step=np.full(len(begin), step, np.int64),
        phase=np.array([names.index(name) for name, _, _ in intervals], np.uint8),
    )
