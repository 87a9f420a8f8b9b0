"""Who owns which rectangle of the domain: index arithmetic, no MPI."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, int]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A part of the global index space.

    Parameters
    ----------
    offset
        Index (y, x) of its first element.
    shape
        Its extent, e.g. (512, 256).
    """

    offset: Shape
    shape: Shape

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where it lies in a global array."""
        (y, x), (ny, nx) = self.offset, self.shape
        return slice(y, y + ny), slice(x, x + nx)


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A global array dealt out to a grid of ranks.

    Parameters
    ----------
    shape
        Global shape (ny, nx).
    grid
        Ranks along y and x. They are numbered row by row, as an MPI Cartesian communicator does it.
    """

    shape: Shape
    grid: Shape

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.grid[0] * self.grid[1]

    def block(self, rank: int) -> Rectangle:
        """Return the rectangle that `rank` owns."""
        (y0, y1), (x0, x1) = (
            block_range(n, size, coordinate)
            for n, size, coordinate in zip(self.shape, self.grid, divmod(rank, self.grid[1]), strict=True)
        )
        return Rectangle((y0, x0), (y1 - y0, x1 - x0))

    @property
    def blocks(self) -> tuple[Rectangle, ...]:
        """The rectangles of all ranks, in the order of ranks."""
        return tuple(self.block(rank) for rank in range(self.size))


def block_range(n: int, size: int, rank: int) -> tuple[int, int]:
    """Return the half-open range of `n` indices that `rank` of `size` owns.

    The first ``n % size`` ranks own one index more than the others.
    """
    share, extra = divmod(n, size)
    start = rank * share + min(rank, extra)
    return start, start + share + (rank < extra)


def process_grid(size: int, shape: Shape) -> Shape | None:
    """Choose the grid of `size` ranks with the shortest halos.

    Parameters
    ----------
    size
        Number of ranks.
    shape
        Global shape (ny, nx).

    Returns
    -------
    tuple of int, or None
        Ranks along y and x; None if no grid leaves every rank at least one element. Of equals the one with
        the fewest cuts across rows wins, because whole rows are contiguous.
    """
    grids = [(size // px, px) for px in range(1, size + 1) if size % px == 0]
    fitting = [grid for grid in grids if grid[0] <= shape[0] and grid[1] <= shape[1]]
    return min(fitting, key=lambda grid: (_halo_length(grid, shape), grid[1]), default=None)


def _halo_length(grid: Shape, shape: Shape) -> int:
    """Elements that the rank with the largest block sends in each exchange."""
    (py, px), (ny, nx) = grid, (-(-n // p) for n, p in zip(shape, grid, strict=True))
    return 2 * nx * (py > 1) + 2 * ny * (px > 1)
