"""Numbers that sum up the state of all ranks: three small reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lockstream.mpi_jobs.decomposition import Array, Shape
from lockstream.mpi_jobs.kernels import interior_statistics

if TYPE_CHECKING:
    from mpi4py import MPI


class Diagnostics(NamedTuple):
    """What `reduce_diagnostics` found.

    Parameters
    ----------
    scalars
        For every field ``<name>_min``, ``_max``, ``_mean`` and ``_l2`` (the square root of the mean square),
        and the model's integrals.
    not_finite
        The first field that has a NaN or an infinity, and the lowest rank that owns one; else None.
    """

    scalars: dict[str, float]
    not_finite: tuple[str, int] | None


def reduce_diagnostics(
    comm: MPI.Intracomm,
    names: Sequence[str],
    fields: Sequence[Array],
    shape: Shape,
    integrals: Callable[[Sequence[float]], Mapping[str, float]],
    elements: int,
    reducing: AbstractContextManager[object],
) -> Diagnostics:
    """Reduce the state of all ranks to a few scalars; collective, the same result everywhere.

    Parameters
    ----------
    comm
        All ranks.
    names, fields
        The fields: names, and this rank's padded arrays.
    shape
        Interior (ny, nx) of this rank's arrays.
    integrals
        Returns this rank's share of the model's integrals, given its sum of each field.
    elements
        Of a whole field, over all ranks.
    reducing
        Is entered for as long as the ranks talk to each other.
    """
    from mpi4py import MPI

    count = len(names)
    found = np.array([interior_statistics(field, *shape) for field in fields], dtype=np.float64)
    culprits = np.where(np.isfinite(found[:, 1]), comm.size, comm.rank)
    shares = integrals(found[:, 0].tolist())
    total = np.concatenate([found[:, :2].ravel(), list(shares.values())])
    lowest = np.concatenate([found[:, 2], culprits])
    highest = found[:, 3].copy()
    with reducing:
        comm.Allreduce(MPI.IN_PLACE, total, op=MPI.SUM)
        comm.Allreduce(MPI.IN_PLACE, lowest, op=MPI.MIN)
        comm.Allreduce(MPI.IN_PLACE, highest, op=MPI.MAX)
    scalars: dict[str, float] = {}
    for i, name in enumerate(names):
        scalars[f"{name}_min"], scalars[f"{name}_max"] = float(lowest[i]), float(highest[i])
        scalars[f"{name}_mean"] = float(total[2 * i]) / elements
        scalars[f"{name}_l2"] = math.sqrt(total[2 * i + 1] / elements)
    scalars |= zip(shares, map(float, total[2 * count :]), strict=True)
    bad = [(name, int(rank)) for name, rank in zip(names, lowest[count:], strict=True) if rank < comm.size]
    return Diagnostics(scalars, bad[0] if bad else None)
