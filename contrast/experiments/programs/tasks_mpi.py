"""Ranks that work on tasks: each on its share, or on what rank 0 hands out.

Asked: tasks (s of each), way ("shares": rank r has the r-th of equal parts; "handed out": rank 0 gives one at a time to
whoever is free, and does none itself), journals (a folder). Answers: began (s of the machine's clock).
"""

import time
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lockstream.contrast.experiments.programs.tasks import open_journal, work
from lockstream.contrast.rig import asked, reply, world
from lockstream.mpi_jobs.decomposition import block_range

if TYPE_CHECKING:
    from mpi4py import MPI

NO_MORE = -1


def main() -> None:
    """Do all tasks."""
    task = asked()
    with world() as comm, open_journal(task["journals"], str(comm.rank)) as journal:
        comm.Barrier()
        began = time.monotonic()
        {"shares": _shares, "handed out": _handed_out}[task["way"]](comm, task["tasks"], journal)
        comm.Barrier()
        if comm.rank == 0:
            reply({"began": began})


def _shares(comm: "MPI.Intracomm", tasks: list[float], journal: IO[str]) -> None:
    counts = [
        stop - start
        for start, stop in (block_range(len(tasks), comm.size, rank) for rank in range(comm.size))
    ]
    mine = np.zeros(counts[comm.rank])
    everything: Any = [np.array(tasks), counts] if comm.rank == 0 else None
    comm.Scatterv(everything, mine, root=0)
    start, _ = block_range(len(tasks), comm.size, comm.rank)
    for number, seconds in enumerate(mine, start):
        work(number, float(seconds), journal)


def _handed_out(comm: "MPI.Intracomm", tasks: list[float], journal: IO[str]) -> None:
    from mpi4py import MPI

    number, seconds = np.zeros(1, dtype=np.int64), np.zeros(1)
    if comm.rank != 0:
        while True:
            comm.Sendrecv(number, dest=0, recvbuf=number, source=0)
            if number[0] == NO_MORE:
                return
            comm.Recv(seconds, source=0)
            work(int(number[0]), float(seconds[0]), journal)
    status = MPI.Status()
    for turn in range(len(tasks) + comm.size - 1):
        comm.Recv(np.zeros(1, dtype=np.int64), source=MPI.ANY_SOURCE, status=status)
        free = status.Get_source()
        number[0] = turn if turn < len(tasks) else NO_MORE
        comm.Send(number, dest=free)
        if turn < len(tasks):
            seconds[0] = tasks[turn]
            comm.Send(seconds, dest=free)


if __name__ == "__main__":
    main()
