"""The time loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from lockstream.mpi_jobs.config import Configuration, build_model, decompose
from lockstream.mpi_jobs.decomposition import Array
from lockstream.mpi_jobs.diagnostics import Diagnostics
from lockstream.mpi_jobs.errors import StateNotFinite
from lockstream.mpi_jobs.observers import Observer, Snapshot
from lockstream.mpi_jobs.solver import Solver

if TYPE_CHECKING:
    from mpi4py import MPI

CHECK_EVERY = 128  # steps: a blow-up is found this soon, however seldom steps are published


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run took, as this rank saw it.

    Parameters
    ----------
    steps
        Time steps done.
    updates
        Elements of the domain times steps.
    snapshots
        Steps shown to the observers.
    seconds
        Wall time of the loop, without set-up and without the observers' leave-taking.
    observing_seconds
        The part of it that went into diagnostics and observers.
    closing_seconds
        How long the observers took leave; for a stream, the wait for the last acknowledgements.
    """

    steps: int
    updates: int
    snapshots: int
    seconds: float
    observing_seconds: float
    closing_seconds: float


def run_simulation(
    comm: MPI.Intracomm,
    configuration: Configuration,
    initial: Mapping[str, Array] | None,
    observers: Sequence[Observer],
) -> RunSummary:
    """Run a simulation from its first to its last step; collective.

    Parameters
    ----------
    comm
        The ranks that share the domain.
    configuration
        What to run; the same on all ranks.
    initial
        On rank 0 the global fields by name, see `make_initial_state`; None elsewhere.
    observers
        Are shown the initial state as step 0 and then every ``stream.every``-th step, and are closed
        however the run ends.

    Raises
    ------
    StateNotFinite
        On all ranks alike, if the state blows up. The step in question is not shown to anybody.
    """
    with ExitStack() as leaving:
        for observer in observers:
            leaving.push(_closing(observer))
        with Solver(
            comm,
            decompose(configuration, comm.size),
            configuration.domain,
            build_model(configuration),
            initial,
        ) as solver:
            comm.Barrier()
            started = perf_counter()
            snapshots, observing = _advance(comm, solver, configuration, observers)
            comm.Barrier()
            finished = perf_counter()
    steps, (ny, nx) = configuration.run.steps, configuration.domain.shape
    return RunSummary(
        steps=steps,
        updates=steps * ny * nx,
        snapshots=snapshots,
        seconds=finished - started,
        observing_seconds=observing,
        closing_seconds=perf_counter() - finished,
    )


def _advance(
    comm: MPI.Intracomm, solver: Solver, configuration: Configuration, observers: Sequence[Observer]
) -> tuple[int, float]:
    """Do all steps; return how many were shown and the time that it took."""
    every, last_step = configuration.stream.every, configuration.run.steps
    snapshots, observing, last_good = 0, 0.0, 0
    for step in range(last_step + 1):
        if step > 0:
            solver.advance()
        is_shown = step % every == 0
        if not (is_shown or step % CHECK_EVERY == 0 or step == last_step):
            continue
        comm.Barrier()  # waiting for the slowest rank is what lockstep costs, not what observing does
        entered = perf_counter()
        found = solver.diagnose()
        if found.not_finite is not None:
            raise StateNotFinite(*found.not_finite, step, last_good)
        last_good = step
        if is_shown:
            _show(solver, step, found, observers)
            snapshots += 1
        observing += perf_counter() - entered
    return snapshots, observing


def _show(solver: Solver, step: int, found: Diagnostics, observers: Sequence[Observer]) -> None:
    snapshot = Snapshot(
        step=step,
        time=step * solver.model.dt,
        offset=solver.offset,
        blocks=solver.blocks,
        diagnostics=found.scalars,
    )
    for observer in observers:
        observer.observe(snapshot)


def _closing(observer: Observer) -> Callable[..., None]:
    """Make an exit callback that closes an observer with the error that ends the run, or with None."""

    def leave(_kind: object, error: BaseException | None, _trace: object) -> None:
        observer.close(error)

    return leave
