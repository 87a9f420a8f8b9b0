"""Two coupled models on the ranks of one MPI job, each streamed as a run of its own.

The first half of the ranks is the ocean, the others are the atmosphere: each has a communicator that it
advances and streams with, and once per step they exchange what touches. With a broker::

    mpirun -n 4 python -m mpi4py examples/ocean_and_atmosphere.py earth-1
    lockstream archive follow --run earth-1-ocean --run earth-1-atmosphere
"""

import sys

import numpy as np
from mpi4py import MPI

from lockstream.bridge import Axis, Block, Field, open_stream

NX, NZ, STEPS, EVERY = 90, 12, 400, 20
HOUR, MIXING, WIND, EXCHANGE = 3600.0, 0.2, 0.4, 0.05  # the last three: per step, below 1/2 and thus stable

world = MPI.COMM_WORLD
if world.size < 2:
    sys.exit("an ocean and an atmosphere need two ranks at least: mpirun -n 2 …")
half = world.size // 2
is_ocean = world.rank < half
model = world.Split(0 if is_ocean else 1)  # rank 0 of the atmosphere is rank `half` of the world


def own(rank):
    """The longitudes of a rank of the world, within its model."""
    ranks, place = (half, rank) if rank < half else (world.size - half, rank - half)
    return NX * place // ranks, NX * (place + 1) // ranks


first, last = own(world.rank)
counts = [np.subtract(*own(rank)[::-1]) for rank in range(world.size)]
longitude = Axis("longitude", spacing=360 / NX, units="degrees_east")


def meet(mine):
    """Temperatures of the whole sea surface and of all the air, on every rank."""
    both = np.empty(2 * NX)
    world.Allgatherv(mine, (both, counts))
    return both[:NX], both[NX:]


def advance_ocean(water, sea, air):
    """Heat diffuses down; the surface exchanges it with the air."""
    down = MIXING * np.diff(water, axis=0)
    water[:-1] += down
    water[1:] -= down
    water[0] += EXCHANGE * (air - sea)[first:last]


def advance_air(above, sea, air):
    """The wind blows heat eastward, around the earth; the air exchanges it with the surface."""
    wind = WIND * (np.roll(air, 1) - air)
    above += (wind + EXCHANGE * (sea - air))[first:last]


x = np.arange(first, last)
if is_ocean:
    name = "ocean"
    state = 277.0 + np.exp(-np.arange(NZ)[:, None] / 3) * (10 + 8 * np.cos(2 * np.pi * x / NX))
    fields = [
        Field("temperature", (NZ, NX), "f8", "K", axes=(Axis("depth", spacing=10.0, units="m"), longitude)),
        Field("surface", (NX,), "f4", "K", "temperature of the surface", (longitude,)),
        Field("is_warm", (NX,), "u1", long_name="surface above 290 K", axes=(longitude,)),
    ]
else:
    name, state = "atmosphere", np.full(last - first, 285.0)
    fields = [Field("air", (NX,), "f8", "K", axes=(longitude,))]

run = f"{sys.argv[1] if len(sys.argv) > 1 else 'earth'}-{name}"
with open_stream(model, run=run, fields=fields, time_units="s", configuration={"wind": WIND}) as stream:
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            heat = model.allreduce(float(state.sum()))
            if is_ocean:
                top = state[0]
                blocks = {
                    "temperature": Block(state, (0, first)),
                    "surface": Block(top.astype("f4"), (first,)),
                    "is_warm": Block((top > 290).astype("u1"), (first,)),
                }
            else:
                blocks = {"air": Block(state, (first,))}
            stream.publish(step, time=step * HOUR, blocks=blocks, diagnostics={"heat": heat})
        sea, air = meet(state[0] if is_ocean else state)
        (advance_ocean if is_ocean else advance_air)(state, sea, air)
