"""A simulation with a field of every dtype and number of dimensions, each cut at random among the ranks.

``decomposed_program.py RUN STEPS [GROUPS]``: several groups of ranks stream a run of their own each, ``RUN-0`` and
so on, at the same time; every group is led by its last rank in the world.
"""

import sys
from typing import Any

import numpy as np

from lockstream.bridge import Axis, Block, Field, StreamSettings, open_stream
from lockstream.bridge.messages import DTYPES
from support.decompositions import LAYOUTS, decompose, laid_out, random_choice, random_field

SHAPES = ((23,), (7, 5), (3, 4, 5), (2, 3, 4, 3))


def fields() -> list[Field]:
    """All dtypes, with 1 to 4 dimensions in turns; axes are named for their lengths."""
    made = []
    for number, dtype in enumerate(DTYPES):
        for shape in (SHAPES[number % 4], SHAPES[(number + 1) % 4]):
            axes = tuple(Axis(f"d{len(shape)}_{n}", n, 0.5, "m") for n in range(len(shape)))
            made.append(Field(f"{dtype}_{len(shape)}", shape, dtype, "K", f"dtype {dtype}", axes))
    return made


def whole(field: Field, run: str, step: int) -> np.ndarray[Any, Any]:
    """What a field holds at a step."""
    return random_field(field.dtype, field.shape, [step, *map(ord, run + field.name)])


def main() -> None:
    """Stream; the arrays are overwritten at once, and lie in memory differently from step to step."""
    from mpi4py import MPI

    world, run, steps = MPI.COMM_WORLD, sys.argv[1], int(sys.argv[2])
    groups = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    group = world.rank * groups // world.size
    comm = world.Split(group, key=-world.rank) if groups > 1 else world
    name = f"{run}-{group}" if groups > 1 else run
    declared = fields()
    parts = {f.name: decompose(f.shape, comm.size, random_choice([n])) for n, f in enumerate(declared)}
    settings = StreamSettings(tile_bytes=256)
    with open_stream(comm, run=name, fields=declared, settings=settings, time_units="s") as stream:
        for step in range(steps):
            blocks = {}
            for number, field in enumerate(declared):
                mine = parts[field.name][comm.rank]
                data = whole(field, name, step)[mine.region]
                layout = LAYOUTS[(number + step + comm.rank) % len(LAYOUTS)]
                blocks[field.name] = Block(laid_out(data, layout), mine.offset)
            stream.publish(step, time=step / 4, blocks=blocks, diagnostics={"ranks": comm.size})
            for block in blocks.values():
                if block.data.flags.writeable:
                    block.data[...] = 0
    if comm is not world:
        comm.Free()


if __name__ == "__main__":
    main()
