"""Eight patterns of exchange in MPI, on buffers.

`mine` is what a rank gives and `got` what it is due, one row per partner where there is one each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lockstream.contrast.patterns.payload import ROOT, Array

if TYPE_CHECKING:
    from mpi4py import MPI


def point_to_point(comm: MPI.Intracomm, mine: Array, got: Array) -> None:
    """From the first rank to the last one."""
    last = comm.size - 1
    if comm.rank == ROOT:
        comm.Send(mine, dest=last)
    elif comm.rank == last:
        comm.Recv(got, source=ROOT)


def broadcast(comm: MPI.Intracomm, mine: Array, got: Array) -> None:
    """The same from the root to all others."""
    comm.Bcast(mine if comm.rank == ROOT else got, root=ROOT)


def scatter(comm: MPI.Intracomm, mine: Array, got: Array) -> None:
    """From the root to each one its own."""
    comm.Scatter(mine, got, root=ROOT)


def gather(comm: MPI.Intracomm, mine: Array, got: Array) -> None:
    """From each one to the root, kept apart."""
    comm.Gather(mine, got, root=ROOT)


def reduce(comm: MPI.Intracomm, mine: Array, got: Array) -> None:
    """From each one to the root, summed."""
    comm.Reduce(mine, got, root=ROOT)


def all_reduce(comm: MPI.Intracomm, mine: Array, got: Array) -> None:
    """The sum of all, for all."""
    comm.Allreduce(mine, got)


def all_to_all(comm: MPI.Intracomm, mine: Array, got: Array) -> None:
    """From each one to each one its own."""
    comm.Alltoall(mine, got)


def barrier(comm: MPI.Intracomm, mine: Array, got: Array) -> None:
    """Nobody goes on before all are here."""
    comm.Barrier()


PATTERNS: Mapping[str, Callable[[MPI.Intracomm, Array, Array], None]] = {
    "point-to-point": point_to_point,
    "broadcast": broadcast,
    "scatter": scatter,
    "gather": gather,
    "reduce": reduce,
    "all-reduce": all_reduce,
    "all-to-all": all_to_all,
    "barrier": barrier,
}
