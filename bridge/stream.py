"""`open_stream`: a simulation's way into Kafka, step by step, collective over its ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import index
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from lockstream.bridge.control import Command
from lockstream.bridge.errors import (
    DeliveryFailed,
    LeftInSpool,
    LockstreamError,
    StreamClosed,
    StreamRefused,
    StreamStopped,
    UserError,
)
from lockstream.bridge.frames import Step
from lockstream.bridge.gather import Block, FrameGatherer
from lockstream.bridge.link import Progress, PublisherLink
from lockstream.bridge.link_messages import Begin, Closed
from lockstream.bridge.messages import MAX_STEP, Field, Steered
from lockstream.bridge.placement import spare_processors
from lockstream.bridge.run_messages import Status, run_ended, run_started
from lockstream.bridge.settings import KafkaOptions, StreamSettings, read_tables
from lockstream.bridge.slots import Slots

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")
Watch = Callable[[str], AbstractContextManager[object]]
"""Is given the name of a phase and returns what is entered and left with it, each time."""

SLOTS = 3  # one is filled, one is sent, and one is there for whichever of the two is late
STOPPED_SECONDS = 10.0
STOPPED, REFUSED = -1, -2  # in the place of a slot's number
_UNWATCHED = nullcontext()


class StreamSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream did.

    Parameters
    ----------
    accepted, acknowledged
        Steps taken over by the bridge, and of these the steps stored by Kafka.
    spooled, spilled
        Steps that only the spool has, and steps that went through it at any time.
    dropped
        Steps left out, each with a gap in the stream.
    throttled_seconds
        By how much Kafka delayed its answers to hold a quota.
    bytes
        Raw bytes of the accepted steps.
    publish_seconds
        Time rank 0 spent in `publish`: what observing cost the simulation.
    wait_seconds, longest_wait_seconds
        The part of it spent waiting for a free slot, in all and for one step.
    """

    accepted: int
    acknowledged: int
    spooled: int
    spilled: int
    dropped: int
    throttled_seconds: float
    bytes: int
    publish_seconds: float
    wait_seconds: float
    longest_wait_seconds: float


def open_stream(
    comm: MPI.Comm,
    *,
    run: str,
    fields: Sequence[Field],
    kafka: KafkaOptions | None = None,
    settings: StreamSettings | None = None,
    attempt: int = 0,
    after_step: int = -1,
    steps_before: int = -1,
    control_topic: str = "",
    time_units: str = "1",
    configuration: Mapping[str, Any] | None = None,
    watch: Watch = lambda _phase: _UNWATCHED,
) -> Stream:
    """Begin to publish a run; collective.

    Parameters
    ----------
    comm
        The ranks that own the fields. Beside rank 0 a process is started that talks to Kafka.
    run
        Run id, ``[a-z0-9][a-z0-9_-]{0,63}``; its topic is made here and must not exist yet, unless `attempt`
        is a later one.
    fields
        The global arrays that every step has.
    kafka
        Options for librdkafka, passed through; left out, those of the environment
        (``LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS``), or a broker on this machine.
    settings
        The ``[stream]`` table.
    attempt
        The n-th start of this run, from 0.
    after_step
        For a later attempt: its steps supersede those of older attempts beyond this one.
    steps_before
        How many steps older attempts published up to `after_step`, so that the archive can tell whether one of
        them is lost; -1 if that is not known.
    control_topic
        Where to listen for commands to the run, see `Stream.commands`; empty: nobody may steer it.
    time_units
        Units of the steps' physical time, UDUNITS text.
    configuration
        What to keep with the run: plain JSON types, without secrets.
    watch
        Is shown what `Stream.publish` does: ``"stall"`` until there is a free slot, ``"wait"`` for rank 0's word,
        ``"gather"``.

    Returns
    -------
    Stream
        A context manager.

    Raises
    ------
    UserError
        On all ranks alike: nobody answers, the run is there already, a field or a setting will not do.
    """
    settings = settings or StreamSettings()
    options = read_tables(None).get("kafka", {}) if kafka is None else kafka
    processors = tuple(sorted(spare_processors(comm)))

    def begin() -> PublisherLink:
        started = run_started(
            run,
            fields,
            settings,
            attempt=attempt,
            after_step=after_step,
            steps_before=steps_before,
            time_units=time_units,
            configuration=dict(configuration or {}),
        )
        word = Begin(
            started=started,
            settings=settings,
            options=dict(options),
            slots=SLOTS,
            processors=processors,
            control_topic=control_topic,
        )
        settings.check_step(started.step_bytes, SLOTS)
        return PublisherLink(Slots.create(started.fields, SLOTS), word)

    return Stream(comm, fields, _on_rank_0(comm, begin), run, settings, watch)


class Stream:
    """The open stream of one run; made by `open_stream`."""

    def __init__(
        self,
        comm: MPI.Comm,
        fields: Sequence[Field],
        link: PublisherLink | None,
        run: str,
        settings: StreamSettings,
        watch: Watch,
    ) -> None:
        self._comm, self._link, self._run, self._settings = comm, link, run, settings
        self._stalling, self._waiting, self._gathering = watch("stall"), watch("wait"), watch("gather")
        self._slots = link.slots if link else None
        path, mark = comm.bcast((link.slots.path, link.slots.mark) if link else ("", b""))
        if self._slots is None:
            self._slots = Slots.attach(path, mark, fields, SLOTS)
        self._gatherer = FrameGatherer(comm, fields, is_sharing=self._slots is not None)
        self._last_step, self._closed = -1, False
        self._publish_seconds = self._wait_seconds = self._longest_wait = 0.0

    def publish(
        self,
        step: int,
        *,
        time: float,
        blocks: Mapping[str, Block],
        diagnostics: Mapping[str, float] | None = None,
    ) -> None:
        """Publish one step; collective. The blocks may be overwritten as soon as this returns.

        It keeps the simulation waiting for ``max_stall`` at most.

        Parameters
        ----------
        step
            The simulation's own step number; must grow from call to call.
        time
            Physical time, finite; rank 0's counts.
        blocks
            This rank's block of every field.
        diagnostics
            Scalars, already reduced; rank 0's count.

        Raises
        ------
        StreamClosed
            After `close`.
        StreamStopped
            On all ranks alike, if the policy asks for an orderly stop. This step was not accepted.
        TypeError
            If `step` is not an integer.
        ValueError
            If `step` does not grow, `time` is not finite or a diagnostic is named like a field.
        BlockMismatch
            If the blocks do not make up the fields.
        DeliveryFailed
            On rank 0, if the publisher cannot go on.
        """
        entered = perf_counter()
        if self._closed:
            raise StreamClosed(f"run {self._run!r}: publish({step}) after close()")
        step = index(step)  # numpy's integers too
        if not self._last_step < step < MAX_STEP or not math.isfinite(time):
            raise ValueError(
                f"step {step} after {self._last_step}, time {time}: steps must grow, time be finite"
            )
        with self._stalling:
            mine = self._acquire()
        with self._waiting:
            slot = self._gatherer.tell_all(mine)
        if slot in (STOPPED, REFUSED):
            self._show()  # how long it waited for the answer
            kind = StreamRefused if slot == REFUSED else StreamStopped
            raise kind(f"run {self._run!r}: step {step} was not accepted: {self._why_stopped()}")
        frame = self._slots.frames[slot] if self._slots else None
        if self._link is None:
            with self._gathering:
                self._gatherer.gather(blocks, frame)
        else:
            try:
                with self._gathering:
                    self._gatherer.gather(blocks, frame)
                scalars = {name: _finite_or_none(value) for name, value in (diagnostics or {}).items()}
                self._link.submit(slot, Step(step, float(time), scalars))
            except BaseException:
                self._link.give_back(slot)  # kept, it would be missing when the next step comes
                raise
        self._last_step = step
        self._publish_seconds += perf_counter() - entered
        self._show()

    def sync(self, timeout: float) -> bool:
        """Make sure that everything accepted is stored by Kafka or on the disk; collective.

        Parameters
        ----------
        timeout
            Seconds after which what Kafka has not acknowledged is written to the spool.

        Returns
        -------
        bool
            False, on all ranks, if that could not be had.
        """

        def ask() -> bool:
            return self._link is not None and self._link.sync(timeout).is_safe

        return bool(self._comm.bcast(_on_rank_0(self._comm, ask)))

    def commands(self) -> list[Command]:
        """Return the commands to this run that have come since the last call; never waits, empty but on rank 0."""
        return self._link.commands() if self._link else []

    def record(self, message: Steered) -> None:
        """Put a message into the stream, between the steps; on rank 0, nothing elsewhere."""
        if self._link is not None:
            self._link.say(message)

    @property
    def progress(self) -> Progress | None:
        """How far the stream has come, on rank 0; None elsewhere."""
        return self._link.progress if self._link else None

    def close(
        self, status: Status = "completed", reason: str = "", measured: Mapping[str, float] | None = None
    ) -> StreamSummary | None:
        """End the run: say ``run-ended``, wait for the acknowledgements, spool the rest; collective.

        Parameters
        ----------
        status, reason
            What ``run-ended`` says.
        measured
            Further figures for ``run-ended`` to tell, from rank 0.

        Returns
        -------
        StreamSummary or None
            On rank 0, and None elsewhere. A second call does nothing and returns None.

        Raises
        ------
        LeftInSpool
            On all ranks alike, if Kafka has not taken everything after ``close_timeout``; the text says how much
            is where. Not for a run that was ``stopped``: its next attempt delivers the spool.
        DeliveryFailed
            On all ranks alike, if steps are lost; the text says which.
        """
        if self._closed:
            return None
        self._closed = True
        self._gatherer.free()
        if self._slots is not None and self._link is None:
            self._slots.close()
        return _on_rank_0(self._comm, lambda: self._end(status, reason, measured or {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif isinstance(error, StreamStopped):
            self.close("stopped", str(error)[:500])
        elif not self._closed:
            self._closed = True  # the other ranks may never come: no MPI from here on
            self._end_after(error)

    def _acquire(self) -> int:
        """Rank 0's next slot, or `STOPPED`, or `REFUSED`."""
        if self._link is None:
            return 0
        entered = perf_counter()
        slot = self._link.acquire(self._settings.max_stall)
        waited = perf_counter() - entered
        self._wait_seconds += waited
        self._longest_wait = max(self._longest_wait, waited)
        if slot is None:
            return REFUSED if self._link.is_refused else STOPPED
        return slot

    def _show(self) -> None:
        if self._link is not None:
            self._link.show(self._publish_seconds, self._wait_seconds, self._longest_wait)

    def _why_stopped(self) -> str:
        if self._link is None:
            return "rank 0 knows why"
        late = f"the publisher freed no slot within stream.max_stall = {self._settings.max_stall:g} s"
        return self._link.stop_reason or late

    def _end(self, status: Status, reason: str, more: Mapping[str, float]) -> StreamSummary | None:
        link = self._link
        if link is None:
            return None
        measured = {
            "publish_seconds": self._publish_seconds,
            "wait_seconds": self._wait_seconds,
            "longest_wait_seconds": self._longest_wait,
            **more,
        }
        ended = run_ended(link.started, status, reason, link.progress.accepted, self._last_step, measured)
        patience = self._settings.close_timeout
        if status == "stopped":  # often because time is up; the next attempt delivers what is left
            patience = min(patience, STOPPED_SECONDS)
        closed = link.close(ended, patience)
        summary = self._summary(link)
        if closed.lost:
            raise DeliveryFailed(f"run {self._run!r}: {_named(closed.lost)} are lost: {closed.reason}")
        if closed.spool and status != "stopped":
            raise LeftInSpool(self._where_it_is(closed, summary))
        return summary

    def _summary(self, link: PublisherLink) -> StreamSummary:
        accepted, acknowledged, spooled, spilled, dropped, _, throttled = link.progress
        return StreamSummary(
            accepted=accepted,
            acknowledged=acknowledged,
            spooled=spooled,
            spilled=spilled,
            dropped=dropped,
            throttled_seconds=throttled / 1000,
            bytes=accepted * link.started.step_bytes,
            publish_seconds=self._publish_seconds,
            wait_seconds=self._wait_seconds,
            longest_wait_seconds=self._longest_wait,
        )

    def _where_it_is(self, closed: Closed, summary: StreamSummary) -> str:
        return (
            f"run {self._run!r}: of {summary.accepted} steps Kafka has acknowledged {summary.acknowledged}; the others "
            f"are safe in the spool {closed.spool} ({closed.items} items, {closed.nbytes} bytes). {closed.reason}. "
            f"When Kafka is there again: lockstream spool drain {closed.spool}"
        )

    def _end_after(self, error: BaseException) -> None:
        """Say that the run failed, if Kafka still listens; the error at hand is the one to be seen."""
        try:
            self._end("failed", f"{type(error).__name__}: {error}"[:500], {})
        except LockstreamError as second:
            error.add_note(f"and the stream could not be closed: {second}")


def _on_rank_0(comm: MPI.Comm, action: Callable[[], T]) -> T | None:
    """Do it on rank 0 and learn everywhere whether it worked; an error is raised on all ranks alike."""
    result: T | None = None
    failure: LockstreamError | None = None
    if comm.rank == 0:
        try:
            result = action()
        except LockstreamError as error:
            failure = error
    told = comm.bcast(failure and (_kind(failure), str(failure)))
    if failure is not None:
        raise failure
    if told is not None:
        kind, text = told
        raise _KINDS[kind](text)
    return result


_KINDS: dict[str, type[LockstreamError]] = {
    kind.__name__: kind for kind in (UserError, LeftInSpool, DeliveryFailed)
}


def _kind(failure: LockstreamError) -> str:
    return next((name for name, kind in _KINDS.items() if isinstance(failure, kind)), DeliveryFailed.__name__)


def _named(steps: Sequence[int]) -> str:
    named = ", ".join(f"step {step}" if step >= 0 else "a message about the run" for step in steps[:10])
    return named + (", …" if len(steps) > 10 else "")


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
