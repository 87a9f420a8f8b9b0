"""How frames come from the ranks that simulate to a rank that analyses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from lockstream.contrast.hybrid.analysis import Analyst
from lockstream.contrast.hybrid.workflow import Array, Plan

if TYPE_CHECKING:
    from mpi4py import MPI

IN_FLIGHT = 3  # frames; the bridge has as many slots
LOOK_SECONDS = 0.0002


class FrameSender:
    """Sends one rank's rows of each frame and goes on computing meanwhile, up to `IN_FLIGHT` frames ahead.

    Parameters
    ----------
    comm, dest
        Where the analysis is: a rank of this world, or of another one.
    rows
        What the rows are like.
    """

    def __init__(self, comm: MPI.Comm, dest: int, rows: Array) -> None:
        from mpi4py import MPI

        self._comm, self._dest, self._sent = comm, dest, 0
        self._buffers = [np.empty(rows.shape) for _ in range(IN_FLIGHT)]
        self._requests: list[MPI.Request] = [MPI.REQUEST_NULL] * IN_FLIGHT

    def send(self, step: int, rows: Array) -> None:
        """Send rows; waits while the analysis is `IN_FLIGHT` frames behind."""
        place = self._sent % IN_FLIGHT
        self._requests[place].Wait()
        np.copyto(self._buffers[place], rows)
        # Synchronous: otherwise MPI would buffer small frames without any bound.
        self._requests[place] = self._comm.Issend(self._buffers[place], dest=self._dest, tag=step)
        self._sent += 1

    def finish(self) -> None:
        """Wait until the analysis has them all."""
        for request in self._requests:
            request.Wait()


def receive_frames(comm: MPI.Comm, plan: Plan, analyst: Analyst) -> None:
    """Analyse frames until the last one of the plan has come.

    Parameters
    ----------
    comm
        In which the workers are the first ranks, or those of the other side.
    """
    from mpi4py import MPI

    frame, step = np.empty((plan.rows, plan.columns)), MPI.ANY_TAG
    bands = [frame[slice(*plan.band(worker))] for worker in range(plan.workers)]
    status = MPI.Status()
    while not analyst.is_done:
        first = comm.Irecv(bands[0], source=0, tag=step)
        while not first.Test(status):
            time.sleep(LOOK_SECONDS)  # MPI's own waiting would take a processor from the workers
        step = status.Get_tag()  # of the first frame that comes; from then on it is known
        rest = [comm.Irecv(bands[w], source=w, tag=step) for w in range(1, plan.workers)]
        MPI.Request.Waitall(rest)
        analyst.take(step, frame)
        step += plan.every
