"""Participants that begin at one moment and learn when the last one was through, on the one clock of a machine.

Whoever waits here sleeps: a rank that polls takes the core from those that still are at work, and from the broker.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI

AHEAD_SECONDS = 2e-3  # that all have heard of the moment before it comes
AWAKE_SECONDS = 3e-4  # before it: a sleeper wakes up late
LOOK_SECONDS = 3e-4
PROMPT_SECONDS = 5e-5  # what comes so soon is worth no sleep


class Meeting:
    """All ranks of a communicator, on one machine.

    Parameters
    ----------
    comm
        Its ranks.
    cores
        On which they run. Where there are more ranks than cores nobody stays awake before the begin, or it would
        keep others from beginning.
    """

    def __init__(self, comm: MPI.Intracomm, cores: int) -> None:
        self._comm, self.rank, self.size = comm, comm.rank, comm.size
        self._awake = AWAKE_SECONDS if comm.size <= cores else 0.0

    def moment(self) -> float:
        """Return a moment soon to come that all agree on; in seconds of `time.monotonic`."""
        (moment,) = self.latest(time.monotonic() + AHEAD_SECONDS)
        return moment

    def wait_until(self, moment: float) -> None:
        """Wait for it."""
        time.sleep(max(0.0, moment - self._awake - time.monotonic()))
        while time.monotonic() < moment:
            pass

    def latest(self, *values: float) -> tuple[float, ...]:
        """Return, for each of some values, the largest that a rank has."""
        from mpi4py import MPI

        return self._combined(values, MPI.MAX)

    def total(self, *values: float) -> tuple[float, ...]:
        """Return their sums over the ranks."""
        from mpi4py import MPI

        return self._combined(values, MPI.SUM)

    def _combined(self, values: tuple[float, ...], operation: MPI.Op) -> tuple[float, ...]:
        mine = np.array(values)
        result = np.empty_like(mine)
        request = self._comm.Iallreduce(mine, result, operation)
        prompt = time.monotonic() + PROMPT_SECONDS
        while not request.Test():
            if time.monotonic() > prompt:
                time.sleep(LOOK_SECONDS)
        return tuple(float(value) for value in result)
