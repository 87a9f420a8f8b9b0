"""A foreign simulation of a few lines: publishes two fields, unevenly cut, from any number of ranks.

``publishing_program.py RUN STEPS PARTITIONS [STEP OF A CRASH]``
"""

import sys
from typing import Any

import numpy as np

from lockstream.bridge import Axis, Block, Field, StreamSettings, open_stream

FIELDS = (Field("u", (11, 6), "f8", units="K"), Field("edge", (5,), "i4", axes=(Axis("corner"),)))


def values(name: str, step: int) -> np.ndarray[Any, Any]:
    """What a field holds at a step."""
    if name == "u":
        return 1000.0 * step + np.arange(66.0).reshape(11, 6) / 7
    return np.arange(5, dtype="i4") - step


def main() -> None:
    """Rank r owns every row from r² on (the last rank the rest); only the last rank owns the edge."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    run, steps, partitions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    crash = int(sys.argv[4]) if len(sys.argv) > 4 else -1
    first, is_last = comm.rank**2, comm.rank == comm.size - 1
    stop = 11 if is_last else (comm.rank + 1) ** 2
    settings = StreamSettings(partitions=partitions, tile_bytes=128)
    with open_stream(comm, run=run, fields=FIELDS, settings=settings, time_units="s") as stream:
        for step in range(0, 3 * steps, 3):
            if step == crash and is_last:
                raise RuntimeError("the solver broke")
            u = values("u", step)[first:stop].T.copy().T  # Fortran order: not how it travels
            edge = values("edge", step)[: 5 if is_last else 0]
            blocks = {"u": Block(u, (first, 0)), "edge": Block(edge, (0,))}
            total = comm.allreduce(float(u.sum()))
            stream.publish(step, time=step / 8, blocks=blocks, diagnostics={"total": total})
            u[:] = np.nan  # the solver goes on at once
            edge[:] = -1


if __name__ == "__main__":
    main()
