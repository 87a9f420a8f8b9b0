"""Ranks that share a sequence of numbers send it to rank 0, which takes whatever comes first.

Asked: messages, nbytes. Answers as `orders_kafka` does.
"""

import time

import numpy as np

from lockstream.contrast.experiments.programs.order import Order
from lockstream.contrast.rig import asked, reply, world


def main() -> None:
    """Of p senders, the first sends 0, p, 2p and so on, the second 1, p + 1 and so on."""
    task = asked()
    with world() as comm:
        from mpi4py import MPI

        message = np.zeros(max(task["nbytes"] // 8, 1), dtype=np.int64)
        comm.Barrier()
        began = time.monotonic()
        if comm.rank == 0:
            order, status = Order(), MPI.Status()
            for _ in range(task["messages"]):
                comm.Recv(message, source=MPI.ANY_SOURCE, status=status)
                order.take(status.Get_source(), int(message[0]))
            reply({"seconds": time.monotonic() - began, **order.found()})
        else:
            for number in range(comm.rank - 1, task["messages"], comm.size - 1):
                message[0] = number
                comm.Send(message, dest=0)
        comm.Barrier()


if __name__ == "__main__":
    main()
