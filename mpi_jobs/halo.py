"""Halo exchange between neighbours: four messages for all fields together, by persistent requests."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from lockstream.mpi_jobs.decomposition import Array, Decomposition

if TYPE_CHECKING:
    from mpi4py import MPI

Strips = tuple[slice | int, slice | int]


class HaloExchange:
    """Fills the halo of this rank's arrays from its neighbours; the domain is periodic.

    Parameters
    ----------
    comm
        All ranks of `decomposition`. A Cartesian communicator is made of it and freed on leaving the
        context.
    decomposition
        Who owns what.
    count
        Number of arrays that are exchanged together.
    dtype
        Of their elements.

    Notes
    -----
    Strips are packed into buffers that stay where they are, so the requests are set up once and it does
    not matter that a time step swaps its arrays. Packing also beats derived datatypes for columns under
    MPICH. Columns travel first, then rows with the halo's corners in them: corners are right too, and
    nine-point stencils may use them.
    """

    def __init__(
        self, comm: MPI.Intracomm, decomposition: Decomposition, count: int, dtype: np.dtype[Any]
    ) -> None:
        ny, nx = decomposition.block(comm.rank).shape
        self._grid = comm.Create_cart(decomposition.grid, periods=(True, True), reorder=False)
        inner = slice(1, ny + 1)
        whole = slice(0, nx + 2)
        self._exchanges = (
            _AxisExchange(self._grid, 1, (count, ny), dtype, [(inner, x) for x in (0, 1, nx, nx + 1)]),
            _AxisExchange(self._grid, 0, (count, nx + 2), dtype, [(y, whole) for y in (0, 1, ny, ny + 1)]),
        )

    def exchange(self, arrays: Sequence[Array]) -> None:
        """Fill the halos of `arrays`, each of shape (ny + 2, at least nx + 2); collective."""
        for axis in self._exchanges:
            axis.exchange(arrays)

    def __enter__(self) -> HaloExchange:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for axis in self._exchanges:
            axis.free()
        if kind is None:  # freeing a communicator is collective: after an error others may not come
            self._grid.Free()


class _AxisExchange:
    """Both directions along one axis.

    `strips` are, from low to high: the low halo, the first and the last strip of the interior, and the
    high halo. A rank that is alone on the axis is its own neighbour and copies.
    """

    def __init__(
        self,
        grid: MPI.Cartcomm,
        axis: int,
        shape: tuple[int, int],
        dtype: np.dtype[Any],
        strips: list[Strips],
    ) -> None:
        self._low_halo, self._first, self._last, self._high_halo = strips
        self._requests: list[MPI.Prequest] = []
        if grid.dims[axis] == 1:
            return
        self._upwards, self._downwards, self._from_below, self._from_above = (
            np.zeros(shape, dtype) for _ in range(4)
        )
        below, above = grid.Shift(axis, 1)
        up, down = 2 * axis, 2 * axis + 1  # tags: with two ranks both neighbours are the same one
        self._requests = [
            grid.Recv_init(self._from_below, source=below, tag=up),
            grid.Recv_init(self._from_above, source=above, tag=down),
            grid.Send_init(self._upwards, dest=above, tag=up),
            grid.Send_init(self._downwards, dest=below, tag=down),
        ]

    def exchange(self, arrays: Sequence[Array]) -> None:
        if not self._requests:
            for array in arrays:
                array[self._low_halo] = array[self._last]
                array[self._high_halo] = array[self._first]
            return
        from mpi4py import MPI

        for i, array in enumerate(arrays):
            self._upwards[i] = array[self._last]
            self._downwards[i] = array[self._first]
        MPI.Prequest.Startall(self._requests)
        MPI.Request.Waitall(self._requests)
        for i, array in enumerate(arrays):
            array[self._low_halo] = self._from_below[i]
            array[self._high_halo] = self._from_above[i]

    def free(self) -> None:
        for request in self._requests:
            request.Free()
