"""`open_stream`: a simulation's way into Kafka, step by step, collective over its ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import index
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from lockstream.bridge.client import KafkaOptions
from lockstream.bridge.errors import (
    DeliveryFailed,
    LockstreamError,
    StreamClosed,
    UserError,
)
from lockstream.bridge.frames import Step
from lockstream.bridge.gather import Block, FrameGatherer
from lockstream.bridge.messages import MAX_STEP, Field
from lockstream.bridge.opening import begin_publishing
from lockstream.bridge.publisher import Progress, Publisher
from lockstream.bridge.run_messages import Status, run_ended, run_started
from lockstream.bridge.settings import StreamSettings, read_tables

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")


class StreamSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream did.

    Parameters
    ----------
    accepted, acknowledged
        Steps taken over by the bridge, and of these the steps stored by Kafka.
    bytes
        Raw bytes of the accepted steps.
    publish_seconds
        Time rank 0 spent in `publish`: what observing cost the simulation.
    wait_seconds
        The part of it spent waiting for room in the buffer.
    """

    accepted: int
    acknowledged: int
    bytes: int
    publish_seconds: float
    wait_seconds: float


def open_stream(
    comm: MPI.Comm,
    *,
    run: str,
    fields: Sequence[Field],
    kafka: KafkaOptions | None = None,
    settings: StreamSettings | None = None,
    attempt: int = 0,
    time_units: str = "1",
    configuration: Mapping[str, Any] | None = None,
) -> Stream:
    """Begin to publish a run; collective.

    Parameters
    ----------
    comm
        The ranks that own the fields. Rank 0 talks to Kafka.
    run
        Run id, ``[a-z0-9][a-z0-9_-]{0,63}``; its topic is made here and must not exist yet.
    fields
        The global arrays that every step has.
    kafka
        Options for librdkafka, passed through; left out, those of the environment
        (``LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS``), or a broker on this machine.
    settings
        The ``[stream]`` table.
    attempt
        The n-th start of this run.
    time_units
        Units of the steps' physical time, UDUNITS text.
    configuration
        What to keep with the run: plain JSON types, without secrets.

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

    def begin() -> Publisher:
        started = run_started(
            run,
            fields,
            settings,
            attempt=attempt,
            time_units=time_units,
            configuration=dict(configuration or {}),
        )
        return begin_publishing(started, settings, options)

    publisher = _on_rank_0(comm, begin)
    return Stream(comm, fields, publisher, run, settings.close_timeout)


class Stream:
    """The open stream of one run; made by `open_stream`."""

    def __init__(
        self,
        comm: MPI.Comm,
        fields: Sequence[Field],
        publisher: Publisher | None,
        run: str,
        close_timeout: float,
    ) -> None:
        self._comm, self._gatherer = comm, FrameGatherer(comm, fields)
        self._publisher, self._run, self._close_timeout = publisher, run, close_timeout
        self._last_step, self._closed = -1, False
        self._publish_seconds = self._wait_seconds = 0.0

    def publish(
        self,
        step: int,
        *,
        time: float,
        blocks: Mapping[str, Block],
        diagnostics: Mapping[str, float] | None = None,
    ) -> None:
        """Publish one step; collective. The blocks may be overwritten as soon as this returns.

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
        TypeError
            If `step` is not an integer.
        ValueError
            If `step` does not grow, `time` is not finite or a diagnostic is named like a field.
        BlockMismatch
            If the blocks do not make up the fields.
        DeliveryFailed
            On rank 0, if an earlier step could not be delivered.
        """
        entered = perf_counter()
        if self._closed:
            raise StreamClosed(f"run {self._run!r}: publish({step}) after close()")
        step = index(step)  # numpy's integers too
        if not self._last_step < step < MAX_STEP or not math.isfinite(time):
            raise ValueError(
                f"step {step} after {self._last_step}, time {time}: steps must grow, time be finite"
            )
        if self._publisher is None:
            self._gatherer.gather(blocks, None)
        else:
            frame = self._publisher.acquire()
            self._wait_seconds += perf_counter() - entered
            try:
                self._gatherer.gather(blocks, frame)
                scalars = {name: _finite_or_none(value) for name, value in (diagnostics or {}).items()}
                self._publisher.submit(Step(step, float(time), scalars), frame)
            except BaseException:
                self._publisher.give_back(frame)  # kept, it would be missing when the next step comes
                raise
        self._last_step = step
        self._publish_seconds += perf_counter() - entered

    @property
    def progress(self) -> Progress | None:
        """How far the stream has come, on rank 0; None elsewhere."""
        return self._publisher.progress if self._publisher else None

    def close(self, status: Status = "completed", reason: str = "") -> StreamSummary | None:
        """End the run: wait for the acknowledgements, then say ``run-ended``; collective.

        Parameters
        ----------
        status, reason
            What ``run-ended`` says.

        Returns
        -------
        StreamSummary or None
            On rank 0, and None elsewhere. A second call does nothing and returns None.

        Raises
        ------
        DeliveryFailed
            On all ranks alike, if steps are missing after ``close_timeout``; the text says which.
        """
        if self._closed:
            return None
        self._closed = True
        self._gatherer.free()
        return _on_rank_0(self._comm, lambda: self._end(status, reason))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif not self._closed:
            self._closed = True  # the other ranks may never come: no MPI from here on
            self._end_after(error)

    def _end(self, status: Status, reason: str) -> StreamSummary | None:
        publisher = self._publisher
        if publisher is None:
            return None
        try:
            self._wait_for_acknowledgements(publisher)
            progress = publisher.progress
            summary = StreamSummary(
                accepted=progress.accepted,
                acknowledged=progress.acknowledged,
                bytes=progress.accepted * publisher.started.step_bytes,
                publish_seconds=self._publish_seconds,
                wait_seconds=self._wait_seconds,
            )
            measured = {"publish_seconds": summary.publish_seconds, "wait_seconds": summary.wait_seconds}
            ended = run_ended(publisher.started, status, reason, summary.accepted, self._last_step, measured)
            publisher.send_now(ended)
            self._wait_for_acknowledgements(publisher)
            return summary
        finally:
            publisher.stop()

    def _wait_for_acknowledgements(self, publisher: Publisher) -> None:
        if missing := publisher.finish(self._close_timeout):
            names = [f"step {step}" if step >= 0 else "run-started or run-ended" for step in missing]
            named = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            raise DeliveryFailed(
                f"run {self._run!r}, {publisher.progress.accepted} steps: not acknowledged within "
                f"{self._close_timeout} s, and maybe missing from the log, are {named}"
            )

    def _end_after(self, error: BaseException) -> None:
        """Say that the run failed, if Kafka still listens; the error at hand is the one to be seen."""
        try:
            self._end("failed", f"{type(error).__name__}: {error}"[:500])
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
    told = comm.bcast(failure and (isinstance(failure, UserError), str(failure)))
    if failure is not None:
        raise failure
    if told is not None:
        is_users, text = told
        raise UserError(text) if is_users else DeliveryFailed(text)
    return result


def _finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
