"""One bridge per node: the ranks of each node stream their part of one field as a run of its own.

Where one rank cannot gather and publish for all, each node does it for itself: no block leaves its node on the way
to Kafka's client. With a broker::

    mpirun -n 4 python -m mpi4py examples/bridge_per_node.py smoke 2
    lockstream archive follow --run smoke-node0 --run smoke-node1

The last word says how many ranks count as a node; without it, nodes are what they are. Ranks have to be dealt out to
the nodes in their order, which is what launchers do unless they are told otherwise.
"""

import sys

import numpy as np
from mpi4py import MPI

from lockstream.bridge import Axis, Block, Field, StreamSettings, open_stream

NY, NX, STEPS, EVERY = 120, 64, 200, 20
MIXING = 0.2  # per step; stable below 1/4

world = MPI.COMM_WORLD
name = sys.argv[1] if len(sys.argv) > 1 else "smoke"
node = (
    world.Split(world.rank // int(sys.argv[2]))
    if len(sys.argv) > 2
    else world.Split_type(MPI.COMM_TYPE_SHARED)
)
leaders = world.Split(0 if node.rank == 0 else MPI.UNDEFINED)
number, nodes = node.bcast((leaders.rank, leaders.size) if node.rank == 0 else None)

# The whole field, as if there were no nodes: rows first to last belong to this rank, and both ends are closed.
first, last = world.rank * NY // world.size, (world.rank + 1) * NY // world.size
above = world.rank - 1 if world.rank > 0 else MPI.PROC_NULL
below = world.rank + 1 if world.rank < world.size - 1 else MPI.PROC_NULL
y, x = np.mgrid[first - 1 : last + 1, 0:NX]
smoke = np.exp(-((y - NY / 3) ** 2 + (x - NX / 2) ** 2) / 50)

# The part of this node: its axis says where in the whole it lies, and its configuration how many parts there are.
begin, end = node.allreduce(first, MPI.MIN), node.allreduce(last, MPI.MAX)
field = Field("smoke", (end - begin, NX), "f8", axes=(Axis("y", start=begin), Axis("x")))
stream = open_stream(
    node,
    run=f"{name}-node{number}",
    fields=[field],
    # No node may stop while the others go on: they would wait for its edge for ever.
    settings=StreamSettings(policy="spill"),
    configuration={"part": number, "parts": nodes, "rows": NY},
)
with stream:
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            mine = smoke[1:-1]
            said = {"mass": world.allreduce(float(mine.sum()))}  # of the whole: the same in all parts
            stream.publish(
                step, time=float(step), blocks={"smoke": Block(mine, (first - begin, 0))}, diagnostics=said
            )
        world.Sendrecv(smoke[1].copy(), dest=above, recvbuf=smoke[-1], source=below)
        world.Sendrecv(smoke[-2].copy(), dest=below, recvbuf=smoke[0], source=above)
        if above == MPI.PROC_NULL:
            smoke[0] = smoke[1]
        if below == MPI.PROC_NULL:
            smoke[-1] = smoke[-2]
        rows = np.pad(smoke[1:-1], ((0, 0), (1, 1)), "edge")
        around = smoke[:-2] + smoke[2:] + rows[:, :-2] + rows[:, 2:]
        smoke[1:-1] += MIXING * (around - 4 * smoke[1:-1])
