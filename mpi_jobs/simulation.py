"""The time loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from lockstream.bridge.errors import StreamRefused, StreamStopped
from lockstream.bridge.messages import Steered
from lockstream.mpi_jobs.checkpoint import FRESH, CheckpointWriter, Progress, Start, read_blocks
from lockstream.mpi_jobs.collect import scatter_field
from lockstream.mpi_jobs.config import Configuration, decompose
from lockstream.mpi_jobs.cost import StepTimes
from lockstream.mpi_jobs.decomposition import Array
from lockstream.mpi_jobs.errors import StateNotFinite
from lockstream.mpi_jobs.observers import Observer, Snapshot, StreamObserver
from lockstream.mpi_jobs.orders import take_orders
from lockstream.mpi_jobs.phases import NoTimers, Timers
from lockstream.mpi_jobs.requests import Request, Requests
from lockstream.mpi_jobs.solver import Solver
from lockstream.mpi_jobs.steering import Steering

if TYPE_CHECKING:
    from mpi4py import MPI

CHECK_EVERY = 128  # steps: a blow-up is found this soon, however seldom steps are published
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a run took, as this rank saw it.

    Parameters
    ----------
    steps
        Time steps done by this attempt.
    last_step
        Where it ended.
    updates
        Elements of the domain times steps.
    snapshots
        Steps shown to the observers.
    seconds
        Wall time of the loop, without set-up and without the observers' leave-taking.
    observing_seconds
        The part of it that went into diagnostics and observers.
    slowdown
        By what share of itself the loop took longer than it would have if all steps had been like those between
        which nobody looked; None where there are none.
    closing_seconds
        How long the observers took leave; for a stream, the wait for the last acknowledgements.
    stopped
        Why it ended early, in good order; empty if it did not.
    is_refused
        Whether that is for good: somebody has to cure the cause before the run can go on.
    checkpoint
        The step of the newest checkpoint, -1 if there is none.
    """

    steps: int
    last_step: int
    updates: int
    snapshots: int
    seconds: float
    observing_seconds: float
    slowdown: float | None
    closing_seconds: float
    stopped: str = ""
    is_refused: bool = False
    checkpoint: int = -1


def run_simulation(
    comm: MPI.Intracomm,
    configuration: Configuration,
    initial: Mapping[str, Array] | None,
    observers: Sequence[Observer],
    *,
    start: Start | None = None,
    publisher: StreamObserver | None = None,
    note: Note = lambda _text: None,
    timers: Timers | None = None,
) -> RunSummary:
    """Run a simulation from its first to its last step, or until it is stopped; collective.

    Parameters
    ----------
    comm
        The ranks that share the domain.
    configuration
        What to run; the same on all ranks.
    initial
        On rank 0 the global fields by name, see `make_initial_state`; None elsewhere, and if `start` has a
        checkpoint.
    observers
        Are shown the initial state as step 0 and then every ``stream.every``-th step, and are closed
        however the run ends.
    start
        Where to begin, for a later attempt.
    publisher
        Is shown the steps first of all. Steps that it has accepted are safe before a checkpoint counts; it may
        ask for an orderly stop, and brings commands to the run.
    note
        Called on rank 0 with what people should know.
    timers
        Are told of the phases ``halo``, ``compute``, ``reduce``, ``wait`` and ``checkpoint``, from the first step on.

    Raises
    ------
    StateNotFinite
        On all ranks alike, if the state blows up. The step in question is not shown to anybody.
    """
    start, timers = start or Start(0, FRESH, configuration), timers or NoTimers()
    watching = [*([publisher] if publisher else []), *observers]
    with ExitStack() as leaving:
        requests = leaving.enter_context(Requests(comm, configuration.checkpoint))
        for observer in watching:
            leaving.push(_closing(observer))
        steering = Steering(start.configuration, start.attempt)
        decomposition = decompose(configuration, comm.size)
        if start.checkpoint is None:
            fill = partial(_scatter, comm, configuration, initial)
        else:
            fill = partial(read_blocks, comm, start)
        with Solver(comm, decomposition, configuration.domain, steering.model, fill, timers) as solver:
            loop = _Loop(
                comm, configuration, start, solver, steering, requests, watching, publisher, note, timers
            )
            comm.Barrier()
            begun = perf_counter()
            loop.run()
            with timers.phase("wait"):
                comm.Barrier()
            finished = perf_counter()
            slowdown = loop.times.slowdown(finished - begun)
            if publisher:
                publisher.stopped = loop.stopped
                publisher.measured = {
                    "loop_seconds": finished - begun,
                    "observing_seconds": loop.times.observing,
                }
                publisher.measured |= {} if slowdown is None else {"slowdown": slowdown}
    ny, nx = configuration.domain.shape
    steps = loop.step - start.progress.step
    return RunSummary(
        steps=steps,
        last_step=loop.step,
        updates=steps * ny * nx,
        snapshots=loop.snapshots,
        seconds=finished - begun,
        observing_seconds=loop.times.observing,
        slowdown=slowdown,
        closing_seconds=perf_counter() - finished,
        stopped=loop.stopped,
        is_refused=loop.is_refused,
        checkpoint=loop.checkpoint,
    )


class _Loop:
    """Steps, and what happens between them; all ranks are at the same step in everything."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        configuration: Configuration,
        start: Start,
        solver: Solver,
        steering: Steering,
        requests: Requests,
        observers: Sequence[Observer],
        publisher: StreamObserver | None,
        note: Note,
        timers: Timers,
    ) -> None:
        self._comm, self._configuration, self._solver = comm, configuration, solver
        self._steering, self._requests = steering, requests
        self._observers, self._publisher, self._note = observers, publisher, note
        self._timers = timers
        self._waiting, self._writing = timers.phase("wait"), timers.phase("checkpoint")
        is_safe = publisher.stream.sync if publisher else lambda _timeout: True
        self._writer = CheckpointWriter(comm, configuration, start.attempt, is_safe)
        self.step, _, self._published, self._steps = start.progress
        self.checkpoint = start.progress.step if start.checkpoint else -1
        self._written: tuple[Progress, Configuration] | None = None
        self._last_good = self.step
        self.snapshots, self.stopped, self.is_refused = 0, "", False
        self.times = StepTimes()

    def run(self) -> None:
        """Do all steps, or as many as it is let."""
        first = self._timers.step = self.step
        while True:
            self._look(is_due=self.step > self._published)
            was_accepted = not self.stopped
            self._heed(may_write=self.step > first)
            if was_accepted and self.step >= self._configuration.run.steps:
                self.stopped = ""  # whoever asks for it now asks for nothing
            if self.stopped or self.step >= self._configuration.run.steps:
                break
            self.times.begin()
            self._solver.advance()
            self.times.step_done()
            self.step += 1
            self._timers.step = self.step
        if self.stopped:
            self._write_checkpoint()

    def _look(self, is_due: bool) -> None:
        """Look at the state, if it is time: at steps that are shown, and often enough to find a blow-up."""
        is_shown = is_due and self.step % self._steering.every == 0
        if not (is_shown or self.step % CHECK_EVERY == 0 or self.step == self._configuration.run.steps):
            return
        with self._waiting:
            self._comm.Barrier()  # waiting for the slowest rank is what lockstep costs, not what observing does
        self.times.begin()
        found = self._solver.diagnose()
        if found.not_finite is not None:
            raise StateNotFinite(*found.not_finite, self.step, self._last_good)
        self._last_good = self.step
        if is_shown:
            self._show(found.scalars)
        self.times.look_done()

    def _show(self, diagnostics: Mapping[str, float]) -> None:
        snapshot = Snapshot(
            step=self.step,
            time=self._time,
            offset=self._solver.offset,
            blocks=self._solver.blocks,
            diagnostics=diagnostics,
        )
        try:
            for observer in self._observers:
                observer.observe(snapshot)
        except StreamStopped as reason:  # the publisher is the first: nobody has seen this step
            self.stopped, self.is_refused = str(reason), isinstance(reason, StreamRefused)
            return
        self.snapshots += 1
        if self._publisher:
            self._published = self.step
            self._steps += 1

    def _heed(self, may_write: bool) -> None:
        """Do what is asked for by signals, by the clock, by the configuration and by commands."""
        with self._waiting:
            asked = self._requests.exchange()
        every = self._configuration.checkpoint.every
        if may_write and (Request.CHECKPOINT in asked or (every and self.step % every == 0)):
            self._write_checkpoint()
        if self._publisher and self._configuration.steering.enabled:
            with self._waiting:
                asked |= self._obey(self._publisher)
        self.stopped = self.stopped or self._steering.stop or asked.reason

    def _obey(self, publisher: StreamObserver) -> Request:
        """Carry out commands; where the run is paused, until it goes on or is stopped."""
        asked = Request.NOTHING
        for turn in take_orders(self._comm, self._steering, publisher.stream.commands, self.step):
            problem = self._write_checkpoint() if turn.orders and turn.orders.checkpoint else ""
            for record in turn.records:
                publisher.stream.record(_answered(record, problem))
            if self._steering.is_paused:
                asked = self._requests.exchange()
                if Request.CHECKPOINT in asked:
                    self._write_checkpoint()
                if asked.reason:
                    break
        self._solver.model = self._steering.model
        return asked

    def _write_checkpoint(self) -> str:
        """Write a checkpoint, unless this very state has one; return why there is none, the same on all ranks."""
        state = (Progress(self.step, self._time, self._published, self._steps), self._steering.configuration)
        problem = ""
        if state != self._written:
            with self._writing:
                problem = self._writer.write(*state, self._solver.blocks)
        self._requests.wrote_checkpoint()
        if problem and self._comm.rank == 0:
            self._note(f"no checkpoint at step {self.step}, the older ones stay: {problem}")
        if not problem:
            self._written, self.checkpoint = state, self.step
        return problem

    @property
    def _time(self) -> float:
        return self.step * self._solver.model.dt


def _scatter(
    comm: MPI.Intracomm,
    configuration: Configuration,
    initial: Mapping[str, Array] | None,
    blocks: Mapping[str, Array],
) -> None:
    decomposition = decompose(configuration, comm.size)
    for name, mine in blocks.items():
        scatter_field(comm, decomposition, initial[name] if initial is not None else None, mine)


def _answered(record: Steered, problem: str) -> Steered:
    """What is said of a command, once it is known whether the checkpoint that it ordered could be written."""
    if record.command != "checkpoint" or record.refused or not problem:
        return record
    return msgspec.structs.replace(record, refused=problem.replace("\0", "")[:500])


def _closing(observer: Observer) -> Callable[..., None]:
    """Make an exit callback that closes an observer with the error that ends the run, or with None."""

    def leave(_kind: object, error: BaseException | None, _trace: object) -> None:
        observer.close(error)

    return leave
