"""All MPI: the workers are ranks, and so is the analysis, the last one.

A program, started on one rank more than there are workers.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from lockstream.contrast.hybrid.analysis import Analyst
from lockstream.contrast.hybrid.frames_mpi import FrameSender, receive_frames
from lockstream.contrast.hybrid.halo_mpi import HaloByRanks
from lockstream.contrast.hybrid.task import Progress, Simulated, Task, my_task
from lockstream.contrast.hybrid.workflow import Array, Band, solve
from lockstream.contrast.rig import reply, unname_shared_memory, world

if TYPE_CHECKING:
    from mpi4py import MPI

GUEST = "lockstream.contrast.hybrid.all_mpi_guest"


def main() -> None:
    """Simulate or analyse."""
    from mpi4py import MPI

    task = my_task()
    with world() as everybody:
        analysis = everybody.size - 1
        workers = MPI.Intracomm(everybody.Split(int(everybody.rank == analysis)))
        if everybody.rank == analysis:
            _analyse(everybody, task)
        elif (done := _simulate(everybody, workers, task)) is not None:
            reply(done)
        workers.Free()


def _simulate(everybody: MPI.Intracomm, workers: MPI.Intracomm, task: Task) -> Simulated | None:
    """Compute one band; the first rank says how long all took."""
    band = Band(task.plan, workers.rank)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(task)) if workers.rank == 0 else None
        halo = stack.enter_context(HaloByRanks(workers, band))
        audience = _Audience(workers, task, FrameSender(everybody, everybody.size - 1, band.own))

        def publish(step: int, rows: Array) -> None:
            audience.send(step, rows)
            if progress:
                progress.published(step)

        everybody.Barrier()
        if progress:
            progress.begin()
        solve(task.plan, band, halo.exchange, publish)
        audience.finish()
        workers.Barrier()
        return progress.end() if progress else None


class _Audience:
    """The analyses that get frames, one of them perhaps from mid-run on.

    Nobody comes to a world of MPI from outside: the simulation itself must look whether somebody is wanted, agree
    upon it on all ranks, and start it.
    """

    def __init__(self, workers: MPI.Intracomm, task: Task, sender: FrameSender) -> None:
        self._workers, self._task, self._senders = workers, task, [sender]
        self._guest: MPI.Intercomm | None = None
        self._is_wanted = np.zeros(1, np.int8)

    def send(self, step: int, rows: Array) -> None:
        if self._guest is None:
            self._look(rows)
        for sender in self._senders:
            sender.send(step, rows)

    def finish(self) -> None:
        for sender in self._senders:
            sender.finish()
        if self._guest is not None:
            self._guest.Disconnect()

    def _look(self, rows: Array) -> None:
        wanted = self._task.join_path
        self._is_wanted[0] = self._workers.rank == 0 and wanted.exists()
        self._workers.Bcast(self._is_wanted)
        if self._is_wanted[0]:
            self._guest = self._workers.Spawn(sys.executable, ["-m", GUEST, str(wanted)], maxprocs=1)
            self._senders.append(FrameSender(self._guest, 0, rows))


def _analyse(everybody: MPI.Intracomm, task: Task) -> None:
    if task.plan.crash_at:
        unname_shared_memory()
    with Analyst(task.plan, task.results_path) as analyst:
        everybody.Barrier()
        receive_frames(everybody, task.plan, analyst)


if __name__ == "__main__":
    main()
