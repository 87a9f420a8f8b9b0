"""How the clocks of the ranks stand to each other: each machine has its own."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from lockstream.mpi_jobs.decomposition import Array

if TYPE_CHECKING:
    from mpi4py import MPI

ROUNDS = 16

Nanoseconds = Annotated[int, msgspec.Meta(gt=-(1 << 61), lt=1 << 61)]


class ClockReading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One comparison with rank 0's clock, in nanoseconds.

    Parameters
    ----------
    local
        When it was made, by this rank's own clock.
    offset
        What has to be added to that clock to have rank 0's.
    uncertainty
        By how much the offset may be wrong, either way.
    """

    local: Nanoseconds
    offset: Nanoseconds
    uncertainty: Annotated[int, msgspec.Meta(ge=0, lt=1 << 61)]


def compare_clocks(comm: MPI.Intracomm, rounds: int = ROUNDS) -> ClockReading:
    """Compare this rank's `perf_counter_ns` with rank 0's; collective.

    A rank asks rank 0 for the time again and again. The answer was given at some moment between asking and being
    answered; with the middle taken for it, the error is at most half of that time, and the quickest answer
    says most (Cristian, Probabilistic clock synchronization, Distributed Computing 3, 1989). The ranks ask in
    turn, so that nobody waits behind another.
    """
    if comm.rank == 0:
        told = np.zeros(1, np.int64)
        for asker in range(1, comm.size):
            for _ in range(rounds):
                comm.Recv(told, source=asker)
                told[0] = perf_counter_ns()
                comm.Send(told, dest=asker)
        return ClockReading(local=perf_counter_ns(), offset=0, uncertainty=0)
    told = np.zeros(1, np.int64)
    best: ClockReading | None = None
    for _ in range(rounds):
        asked = perf_counter_ns()
        comm.Send(told, dest=0)
        comm.Recv(told, source=0)
        answered = perf_counter_ns()
        reading = reading_of(asked, int(told[0]), answered)
        if best is None or reading.uncertainty < best.uncertainty:
            best = reading
    if best is None:
        raise ValueError(f"{rounds} rounds")
    return best


def reading_of(asked: int, told: int, answered: int) -> ClockReading:
    """Return what one question and its answer say; `asked` and `answered` by the own clock, `told` by rank 0's."""
    middle = (asked + answered) // 2
    return ClockReading(local=middle, offset=told - middle, uncertainty=(answered - asked + 1) // 2)


def to_common_clock(times: Array, clocks: tuple[ClockReading, ...]) -> Array:
    """Translate times of a rank's own clock to rank 0's; between two readings the drift is taken to be even."""
    if len(clocks) == 1 or clocks[-1].local <= clocks[0].local:
        return times + clocks[0].offset
    first, last = clocks[0], clocks[-1]
    drift = (last.offset - first.offset) / (last.local - first.local)
    correction: Array = np.rint((times - first.local) * drift).astype(np.int64)
    return times + first.offset + correction
