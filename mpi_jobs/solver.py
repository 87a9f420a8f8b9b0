"""The state of a simulation on one rank, and how it advances by a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from lockstream.mpi_jobs.decomposition import Array, Decomposition
from lockstream.mpi_jobs.diagnostics import Diagnostics, reduce_diagnostics
from lockstream.mpi_jobs.domain import Domain
from lockstream.mpi_jobs.fields import interiors, padded_arrays
from lockstream.mpi_jobs.halo import HaloExchange
from lockstream.mpi_jobs.kernels import interior_statistics
from lockstream.mpi_jobs.models import Model
from lockstream.mpi_jobs.phases import NoTimers, Timers

if TYPE_CHECKING:
    from mpi4py import MPI


class Solver:
    """A model on the rectangle of this rank; made, used and left by all ranks together.

    Parameters
    ----------
    comm
        All ranks of `decomposition`.
    decomposition
        Who owns what.
    domain
        The whole of it.
    model
        The equations.
    fill
        Fills this rank's part of every field, given by name; collective.
    timers
        Are told of the phases ``halo``, ``compute`` and ``reduce``.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        decomposition: Decomposition,
        domain: Domain,
        model: Model,
        fill: Callable[[Mapping[str, Array]], None],
        timers: Timers | None = None,
    ) -> None:
        self.model = model
        self.names = tuple(field.name for field in model.fields)
        block = decomposition.block(comm.rank)
        self.offset, self.shape = block.offset, block.shape
        self._comm, self._elements = comm, domain.shape[0] * domain.shape[1]
        count, dtype = len(self.names), domain.numpy_dtype
        arrays = padded_arrays(2 * count, self.shape, dtype)
        self._state, self._next = arrays[:count], arrays[count:]
        phase = (timers or NoTimers()).phase
        self._exchanging, self._computing, self._reducing = phase("halo"), phase("compute"), phase("reduce")
        fill(self.blocks)
        self._warm_up()
        self._halo = HaloExchange(comm, decomposition, count, dtype)

    @property
    def blocks(self) -> dict[str, Array]:
        """Views of this rank's part of every field, without halo."""
        return dict(zip(self.names, interiors(self._state, self.shape), strict=True))

    def advance(self) -> None:
        """Do one time step; collective."""
        with self._exchanging:
            self._halo.exchange(self._state)
        with self._computing:
            self.model.step(self._state, self._next, self.shape)
        self._state, self._next = self._next, self._state

    def diagnose(self) -> Diagnostics:
        """Reduce the state to scalars; collective."""

        def integrals(totals: Sequence[float]) -> Mapping[str, float]:
            return self.model.integrals(self._state, self.shape, totals)

        with self._computing:
            return reduce_diagnostics(
                self._comm,
                self.names,
                self._state,
                self.shape,
                integrals,
                self._elements,
                self._reducing,
            )

    def __enter__(self) -> Solver:
        self._halo.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._halo.__exit__(kind, error, trace)

    def _warm_up(self) -> None:
        """Have the kernels compiled and every page touched before anybody measures time.

        What this computes is overwritten by the first step. Rank 0 goes first, and the others find the
        compiled kernels on disk.
        """
        if self._comm.rank != 0:
            self._comm.Barrier()
        self.model.step(self._state, self._next, self.shape)
        totals = [interior_statistics(field, *self.shape)[0] for field in self._state]
        self.model.integrals(self._state, self.shape, totals)
        if self._comm.rank == 0:
            self._comm.Barrier()
