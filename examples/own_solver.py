"""A simulation of your own, streamed: a drum's membrane in plain numpy and mpi4py.

The lines that Lockstream needs are marked. With a broker (``lockstream broker start``)::

    mpirun -n 2 python examples/own_solver.py drum-1
    lockstream archive follow --run drum-1
"""

import sys

import numpy as np
from mpi4py import MPI

from lockstream.bridge import Block, Field, open_stream  # (1)

NY, NX, STEPS, EVERY = 256, 256, 2000, 50
COURANT = 0.5  # wave speed times time step over spacing; stable up to 1 / sqrt(2)

comm = MPI.COMM_WORLD
first, last = comm.rank * NY // comm.size, (comm.rank + 1) * NY // comm.size
above = comm.rank - 1 if comm.rank > 0 else MPI.PROC_NULL
below = comm.rank + 1 if comm.rank < comm.size - 1 else MPI.PROC_NULL

# Rows first to last belong to this rank; one more on each side is a neighbour's, or the rim, which is at rest.
y, x = np.mgrid[first - 1 : last + 1, 0:NX]
height = 0.5 * np.exp(-((y - NY / 3) ** 2 + (x - NX / 2) ** 2) / 50)
before = height.copy()

fields = [Field("height", shape=(NY, NX), dtype="f8", units="mm")]  # (2)
with open_stream(comm, run=sys.argv[1] if len(sys.argv) > 1 else "drum", fields=fields) as stream:  # (3)
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            mine = height[1:-1]
            mean_square = comm.allreduce(float((mine**2).sum())) / (NY * NX)
            block = Block(mine, offset=(first, 0))  # (4)
            said = {"mean_square": mean_square}
            stream.publish(step, time=step * COURANT, blocks={"height": block}, diagnostics=said)  # (5)
        comm.Sendrecv(height[1], dest=above, recvbuf=height[-1], source=below)
        comm.Sendrecv(height[-2], dest=below, recvbuf=height[0], source=above)
        inner = height[1:-1, 1:-1]
        curvature = height[:-2, 1:-1] + height[2:, 1:-1] + height[1:-1, :-2] + height[1:-1, 2:] - 4 * inner
        after = height.copy()
        after[1:-1, 1:-1] = 2 * inner - before[1:-1, 1:-1] + COURANT**2 * curvature
        before, height = height, after
