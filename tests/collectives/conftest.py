"""Tests that all ranks run together; a plain pytest run passes them over and starts them with mpirun.

::

    mpirun -n 3 python -m mpi4py -m pytest -x -p no:cacheprovider tests/collectives
"""

import os
from typing import TYPE_CHECKING

import pytest

from lockstream.mpi_jobs.decomposition import Shape

if TYPE_CHECKING:
    from mpi4py import MPI

if not {"PMI_SIZE", "OMPI_COMM_WORLD_SIZE"} & os.environ.keys():
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def comm() -> "MPI.Intracomm":
    """All ranks."""
    from mpi4py import MPI

    return MPI.COMM_WORLD


@pytest.fixture(scope="session")
def grids(comm: "MPI.Intracomm") -> list[Shape]:
    """Every grid of that many ranks, e.g. (1, 4), (2, 2) and (4, 1)."""
    return [(comm.size // px, px) for px in range(1, comm.size + 1) if comm.size % px == 0]
