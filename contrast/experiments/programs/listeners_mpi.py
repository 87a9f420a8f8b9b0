"""Rank 0 sends the same messages to all other ranks.

Asked: messages, nbytes, way ("broadcast": one collective call; "one by one": a send to each). Answers: sender (s in the
calls for one message), everybody (s for one message until all have it), cpu (s of all ranks for one message).
"""

import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lockstream.contrast.cpu import own_cpu_seconds
from lockstream.contrast.rig import asked, reply, world

if TYPE_CHECKING:
    from mpi4py import MPI

Bytes = NDArray[np.uint8]


def main() -> None:
    """Send everything; the barrier at the end is when the last one has the last message."""
    task = asked()
    with world() as comm:
        message = np.zeros(task["nbytes"], dtype=np.uint8)
        sends = {"broadcast": _broadcast, "one by one": _one_by_one}[task["way"]]
        sends(comm, message)  # the first message between two ranks connects them
        comm.Barrier()
        used, began = own_cpu_seconds(), time.monotonic()
        calls = 0.0
        for _ in range(task["messages"]):
            at = time.monotonic()
            sends(comm, message)
            calls += time.monotonic() - at
        comm.Barrier()
        everybody = time.monotonic() - began
        spent, cpu = np.array([own_cpu_seconds() - used]), np.zeros(1)
        comm.Reduce(spent, cpu, root=0)
        if comm.rank == 0:
            messages = task["messages"]
            reply(
                {
                    "sender": calls / messages,
                    "everybody": everybody / messages,
                    "cpu": float(cpu[0]) / messages,
                }
            )


def _broadcast(comm: "MPI.Intracomm", message: Bytes) -> None:
    comm.Bcast(message, root=0)


def _one_by_one(comm: "MPI.Intracomm", message: Bytes) -> None:
    if comm.rank != 0:
        comm.Recv(message, source=0)
        return
    for listener in range(1, comm.size):
        comm.Send(message, dest=listener)


if __name__ == "__main__":
    main()
