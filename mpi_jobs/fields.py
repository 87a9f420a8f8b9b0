"""The local fields of one rank: arrays with a halo, laid out in memory for a fast sweep."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lockstream.mpi_jobs.decomposition import Array, Shape

ROW_ALIGNMENT = 64  # bytes: a cache line
PAGE = 4096
STAGGER = 1024  # bytes: see `padded_arrays`


def padded_arrays(count: int, shape: Shape, dtype: np.dtype[Any]) -> list[Array]:
    """Allocate zeroed arrays that have room for a halo of one element.

    Parameters
    ----------
    count
        How many.
    shape
        Interior (ny, nx): it lies at ``[1 : ny + 1, 1 : nx + 1]`` of each array.
    dtype
        Of the elements.

    Returns
    -------
    list of numpy.ndarray
        C-contiguous, each of shape (ny + 2, at least nx + 2).

    Notes
    -----
    Rows are a multiple of 64 bytes. The arrays begin 1 KiB apart modulo the page size: a sweep reads and
    writes the same place of each at the same time, and equal low address bits would make the processor
    take those for each other (4K aliasing). Measured, a fused sweep gains 10 to 15 %.
    """
    rows = shape[0] + 2
    row_bytes = -(-(shape[1] + 2) * dtype.itemsize // ROW_ALIGNMENT) * ROW_ALIGNMENT
    nbytes = rows * row_bytes
    pitch = -(-nbytes // PAGE) * PAGE + STAGGER
    memory = np.zeros(count * pitch + PAGE, dtype=np.uint8)
    start = -memory.ctypes.data % PAGE
    return [
        memory[start + i * pitch :][:nbytes].view(dtype).reshape(rows, row_bytes // dtype.itemsize)
        for i in range(count)
    ]


def interiors(arrays: Sequence[Array], shape: Shape) -> list[Array]:
    """Return views of what this rank owns: `arrays` without halo and padding, each of `shape`."""
    ny, nx = shape
    return [array[1 : ny + 1, 1 : nx + 1] for array in arrays]
