"""Runs all Python of a Markdown page from top to bottom, as one program on all ranks.

``how_to_program.py PAGE SUFFIX``: run ids get the suffix, so that they are this test's own.
"""

import re
import sys
from pathlib import Path

import numpy as np

from support.stand_ins import DMDA, stand_in_for_mpi4py_fft


def python_of(page: Path, suffix: str) -> list[str]:
    """The page's blocks of Python, each below as many empty lines as it takes for tracebacks to be right."""
    text = page.read_text()
    found = re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks = ["\n" * text.count("\n", 0, match.start(1)) + match[1] for match in found]
    names = r'"((?:tokamak|cavity|earth|vortex)-\w+)"'
    return [re.sub(names, rf'"\1-{suffix}"', block) for block in blocks]


def main() -> None:
    """Give the page what it takes for granted, run it, and stream what its functions make of a DMDA."""
    from mpi4py import MPI

    page, suffix, comm = Path(sys.argv[1]), sys.argv[2], MPI.COMM_WORLD
    stand_in_for_mpi4py_fft()
    y0, y1 = 2048 * comm.rank // comm.size, 2048 * (comm.rank + 1) // comm.size
    u = np.zeros((y1 - y0, 2048), "f4")
    scope = {
        "np": np,
        "steps": 2,
        "u": u,
        "y0": y0,
        "x0": 0,
        "t": 0.5,
        "mass": 1.0,
        "advance": lambda u: u + 1,
    }
    for block in python_of(page, suffix):
        exec(compile(block, str(page), "exec"), scope)  # noqa: S102
    field_of, block_of, open_stream = scope["field_of_dmda"], scope["block_of_dmda"], scope["open_stream"]
    grids = {"scalar": DMDA(comm, (5, 4, 3), 1), "vector": DMDA(comm, (5, 4), 2)}
    fields = [field_of(name, da, units="m") for name, da in grids.items()]
    with open_stream(comm, run=f"petsc-{suffix}", fields=fields) as stream:
        blocks = {name: block_of(da, da.vector()) for name, da in grids.items()}
        stream.publish(0, time=0.0, blocks=blocks)


if __name__ == "__main__":
    main()
