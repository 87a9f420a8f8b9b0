"""Between rank 0 and all ranks: fields scattered and gathered by buffers, outcomes shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lockstream.bridge.errors import UserError
from lockstream.mpi_jobs.decomposition import Array, Decomposition

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")


def scatter_field(
    comm: MPI.Intracomm, decomposition: Decomposition, field: Array | None, block: Array
) -> None:
    """Deal a global array out to its owners; collective.

    Parameters
    ----------
    comm
        All ranks of `decomposition`.
    decomposition
        Who owns what.
    field
        On rank 0 the global array, of ``decomposition.shape`` and the dtype of `block`; None elsewhere.
    block
        Where this rank's part goes; any strides, e.g. the interior of a padded array.
    """
    packed = None
    if field is not None:
        packed = np.concatenate([field[part.slices].ravel() for part in decomposition.blocks])
    received = np.empty(block.shape, block.dtype)
    comm.Scatterv([packed, _counts(decomposition)], received)
    block[...] = received


def gather_field(comm: MPI.Intracomm, decomposition: Decomposition, block: Array) -> Array | None:
    """Bring a global array together on rank 0; collective.

    Parameters
    ----------
    comm
        All ranks of `decomposition`.
    decomposition
        Who owns what.
    block
        This rank's part; any strides.

    Returns
    -------
    numpy.ndarray, or None
        On rank 0 the global array, of ``decomposition.shape``.
    """
    packed = np.empty(decomposition.shape, block.dtype).ravel() if comm.rank == 0 else None
    counts = _counts(decomposition)
    comm.Gatherv(np.ascontiguousarray(block), [packed, counts])
    if packed is None:
        return None
    field = np.empty(decomposition.shape, block.dtype)
    ends = np.cumsum(counts)
    for part, end, count in zip(decomposition.blocks, ends, counts, strict=True):
        field[part.slices] = packed[end - count : end].reshape(part.shape)
    return field


def on_root(comm: MPI.Intracomm, action: Callable[[], T]) -> T | None:
    """Do something on rank 0 that the user's input may make impossible; collective, for set-up only.

    Returns
    -------
    What `action` returns on rank 0, None elsewhere.

    Raises
    ------
    UserError
        On all ranks alike, if `action` raises one.
    """
    result: T | None = None
    failure: UserError | None = None
    if comm.rank == 0:
        try:
            result = action()
        except UserError as error:
            failure = error
    told = comm.bcast(None if failure is None else str(failure))
    if told is not None:
        raise failure or UserError(told)
    return result


def _counts(decomposition: Decomposition) -> list[int]:
    return [part.shape[0] * part.shape[1] for part in decomposition.blocks]
