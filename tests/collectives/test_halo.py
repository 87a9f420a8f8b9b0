from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.reference import wrapped

from lockstream.mpi_jobs.decomposition import Decomposition, Shape
from lockstream.mpi_jobs.fields import interiors, padded_arrays
from lockstream.mpi_jobs.halo import HaloExchange

if TYPE_CHECKING:
    from mpi4py import MPI


@pytest.mark.parametrize("shape", [(4, 4), (7, 5), (16, 33)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_halos_hold_the_neighbours_strips_and_corners(
    comm: "MPI.Intracomm", grids: list[Shape], shape: Shape, dtype: str
) -> None:
    for grid in grids:
        decomposition = Decomposition(shape, grid)
        block = decomposition.block(comm.rank)
        (y, x), (ny, nx) = block.offset, block.shape
        with HaloExchange(comm, decomposition, 2, np.dtype(dtype)) as halo:
            arrays = padded_arrays(4, block.shape, np.dtype(dtype))
            for turn in range(3):  # a time step swaps its arrays between exchanges
                fields = [np.arange(shape[0] * shape[1]).reshape(shape) + 1000 * (turn + f) for f in (1, 2)]
                current = arrays[:2] if turn % 2 == 0 else arrays[2:]
                for interior, field in zip(interiors(current, block.shape), fields, strict=True):
                    interior[...] = field[block.slices]
                halo.exchange(current)
                for array, field in zip(current, fields, strict=True):
                    expected = wrapped(field)[y : y + ny + 2, x : x + nx + 2]
                    assert np.array_equal(array[:, : nx + 2], expected), (grid, turn)


def test_requests_and_communicators_are_given_back(comm: "MPI.Intracomm") -> None:
    decomposition = Decomposition((8, 8), (comm.size, 1))
    for _ in range(2200):  # MPICH has room for 2048 communicators
        with HaloExchange(comm, decomposition, 1, np.dtype(np.float32)):
            pass
    assert comm.allreduce(1) == comm.size
