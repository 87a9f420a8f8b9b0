"""The phases of all ranks of a run, on one clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lockstream.mpi_jobs.clocks import to_common_clock
from lockstream.mpi_jobs.decomposition import Array
from lockstream.mpi_jobs.phase_files import PhasesUnreadable, RankPhases, phase_file, read_phases

USUAL = ("compute", "halo", "reduce", "gather", "publish", "stall", "wait", "checkpoint")
"""What Lockstream's own simulations mark, in the order of reports and pictures."""
OTHER = "other"
"""Time in which no phase was marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankLine:
    """What one rank was doing, in nanoseconds since the run began.

    Parameters
    ----------
    host
        Its machine.
    uncertainty
        By how much its times may be off from rank 0's.
    lost
        How many of its last intervals are not known.
    totals
        Time in each phase, of all intervals; shape (names,).
    begin, end, step, phase
        The intervals in their order; shape (n,).
    """

    host: str
    uncertainty: int
    lost: int
    totals: Array
    begin: Array
    end: Array
    step: Array
    phase: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRun:
    """What all ranks were doing.

    Parameters
    ----------
    names
        Of the phases.
    ranks
        By rank.
    duration
        From the first phase's beginning to the last one's end, over all ranks, in nanoseconds.
    known_until
        Up to there all intervals of all ranks are known; `duration` unless some were lost.
    """

    names: tuple[str, ...]
    ranks: tuple[RankLine, ...]
    duration: int
    known_until: int

    @property
    def is_complete(self) -> bool:
        """Whether no interval was lost."""
        return not any(line.lost for line in self.ranks)


def read_run(folder: Path) -> PhaseRun:
    """Read what all ranks wrote.

    Raises
    ------
    PhasesUnreadable
        If there is nothing, or not all of it, or files of several runs.
    """
    first = phase_file(folder, 0)
    if not first.exists():
        cure = (
            "give a folder that `lockstream simulate --phases FOLDER` or LOCKSTREAM_PHASES=FOLDER has filled; ranks "
            "write their files when the program ends, if it uses phase_timers"
        )
        raise PhasesUnreadable(f"{folder}: no phases of a run are there; {cure}")
    ranks = [read_phases(first)]
    ranks += [read_phases(phase_file(folder, rank)) for rank in range(1, ranks[0].ranks)]
    for number, rank in enumerate(ranks):
        if (rank.rank, rank.ranks, rank.mark) != (number, len(ranks), ranks[0].mark):
            problem = f"is not of the same run as that of rank 0; time the {len(ranks)} ranks again"
            raise PhasesUnreadable(f"{phase_file(folder, number)}: {problem}")
    return merge(ranks)


def merge(ranks: Sequence[RankPhases]) -> PhaseRun:
    """Put the ranks of a run together, on rank 0's clock.

    Raises
    ------
    PhasesUnreadable
        If no rank has marked a phase.
    """
    found = dict.fromkeys(name for rank in ranks for name in rank.names)
    names = (*(name for name in USUAL if name in found), *(name for name in found if name not in USUAL))
    begins = [to_common_clock(rank.begin, rank.clocks) for rank in ranks]
    ends = [to_common_clock(rank.end, rank.clocks) for rank in ranks]
    if not any(map(len, begins)):
        raise PhasesUnreadable("no rank has marked a phase; enter at least one, see phase_timers")
    untils = [
        int(to_common_clock(np.array([rank.until]), rank.clocks)[0]) for rank in ranks if len(rank.begin)
    ]
    start = min(int(begin[0]) for begin in begins if len(begin))
    until = max(untils)
    known = [int(end[-1]) if len(end) else start for rank, end in zip(ranks, ends, strict=True) if rank.lost]
    lines = []
    for rank, begin, end in zip(ranks, begins, ends, strict=True):
        number = np.array([names.index(name) for name in rank.names], np.uint8)
        totals = np.zeros(len(names), np.int64)
        totals[number] = rank.totals
        lines.append(
            RankLine(
                host=rank.host,
                uncertainty=max(reading.uncertainty for reading in rank.clocks),
                lost=rank.lost,
                totals=totals,
                begin=begin - start,
                end=end - start,
                step=rank.step,
                phase=number[rank.phase] if len(number) else rank.phase,
            )
        )
    return PhaseRun(
        names=names,
        ranks=tuple(lines),
        duration=until - start,
        known_until=min(known, default=until) - start,
    )
