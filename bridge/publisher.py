"""The publisher: takes steps out of shared memory and brings them to Kafka, in order, whatever Kafka does.

A slot is free again as soon as its step has been copied to librdkafka or written to the spool. What Kafka has
not acknowledged is bounded in bytes; when that buffer has been full for half of ``max_stall``, the policy
decides about the next step: ``spill`` it to the disk, ``drop`` it and say so in the stream, or ``stop`` the
simulation in good order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from lockstream.bridge.delivery import FOR_EVER, OTHER, Delivery
from lockstream.bridge.errors import SpoolUnwritable
from lockstream.bridge.frames import Arrays, Step, step_messages
from lockstream.bridge.link_messages import Closed, Failed, Freed, FromPublisher, Note, StopWanted, Synced
from lockstream.bridge.messages import Gap, JsonMessage, RunEnded, RunStarted, Steered
from lockstream.bridge.outbox import Producer, Record
from lockstream.bridge.settings import StreamSettings
from lockstream.bridge.spool import Spool
from lockstream.bridge.wire import encode

LOOK_SECONDS = 0.25
NOTE_SECONDS = 10.0  # between two words about what is still on its way at the end
HURRY_SECONDS = 10.0
CONTROL_BYTES = 1024  # what a message without elements counts in the buffer


class Counts(Protocol):
    """Where the counters go that rank 0 reads."""

    def count(self, **values: int) -> None:
        """Set some."""


class _Submitted(NamedTuple):
    slot: int
    step: Step


class _Sync(NamedTuple):
    timeout: float


class _Close(NamedTuple):
    ended: RunEnded | None


_Job = _Submitted | JsonMessage | _Sync | _Close


class Publisher:
    """Sends the steps of one attempt in order, the n-th one whole to partition n mod partitions.

    Parameters
    ----------
    start_producer
        Makes an idempotent producer whose queue holds at least ``buffer_bytes`` and one step more.
    topic
        The run's topic.
    started
        The attempt's first message: fields, tile shapes, partitions. It is sent at once.
    settings
        The ``[stream]`` table.
    spool
        Where steps go that Kafka does not take; what it holds of earlier attempts is delivered first.
    frames
        The slots: arrays by field, each of its global shape.
    tell
        Called with what rank 0 should know, from the sending thread.
    counts
        Gets the counters.
    is_open
        Whether the topic is known to be there. If not, nothing is sent before `open_log`.
    """

    def __init__(
        self,
        start_producer: Callable[[], Producer],
        topic: str,
        started: RunStarted,
        settings: StreamSettings,
        spool: Spool,
        frames: Sequence[Arrays],
        tell: Callable[[FromPublisher], None],
        counts: Counts,
        *,
        is_open: bool = True,
    ) -> None:
        self.started = started
        self._settings, self._frames, self._tell, self._counts = settings, frames, tell, counts
        self._changed = threading.Condition()
        self._delivery = Delivery(start_producer, topic, spool, settings.buffer_bytes, self._changed)
        self._delivery.is_open = is_open
        self._jobs: deque[_Job] = deque([started])
        self._is_blocked, self._is_stopping = not is_open, False
        self._submitted = self._dropped = 0
        self._stop_reason = ""
        self._is_ending, self._longest_end = False, FOR_EVER
        self._deadline = FOR_EVER  # of the end
        self._sender = threading.Thread(target=self._send_all, name="lockstream-sender", daemon=True)
        self._sender.start()

    def submit(self, slot: int, step: Step) -> None:
        """Take over the step in a slot."""
        self._put(_Submitted(slot, step))

    def say(self, message: Steered) -> None:
        """Send a message in its place between the steps."""
        self._put(message)

    def sync(self, timeout: float) -> None:
        """Have `Synced` told when everything accepted before is acknowledged or on the disk.

        Parameters
        ----------
        timeout
            Seconds after which what Kafka has not acknowledged is written to the spool.
        """
        self._put(_Sync(timeout))

    def close(self, ended: RunEnded | None, timeout: float) -> None:
        """Say ``run-ended`` (or nothing), wait for Kafka, spool what is left, and have `Closed` told."""
        with self._changed:
            self._is_ending = True
            self._deadline = time.monotonic() + min(timeout, self._longest_end)
        self._put(_Close(ended))

    def hurry(self) -> None:
        """The end comes soon, and then it must not take longer than `HURRY_SECONDS`; for a signal handler."""
        self._longest_end = HURRY_SECONDS
        self._deadline = (
            min(self._deadline, time.monotonic() + HURRY_SECONDS) if self._is_ending else FOR_EVER
        )

    def open_log(self) -> None:
        """Kafka has the topic: from here on it is sent to."""
        with self._changed:
            self._delivery.is_open = True
            self._changed.notify_all()

    def refuse(self, reason: str) -> None:
        """Kafka will never have the topic: what comes is spooled, and the simulation stopped."""
        with self._changed:
            self._delivery.refusal = reason
            self._changed.notify_all()

    def stop(self) -> None:
        """End the threads; what is on its way is given up."""
        with self._changed:
            self._is_stopping = True
            self._deadline = 0.0
            self._changed.notify_all()
        self._sender.join()
        self._delivery.stop()

    def _put(self, job: _Job) -> None:
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()

    def _send_all(self) -> None:
        try:
            while not self._is_stopping:
                self._work()
                with self._changed:
                    has_news = lambda: self._jobs or self._is_stopping or self._delivery.has_work  # noqa: E731
                    self._changed.wait_for(has_news, LOOK_SECONDS)
                    job = self._jobs.popleft() if self._jobs else None
                if job is not None:
                    self._do(job)
        except Exception as error:  # whatever it is, the simulation must learn it
            self._tell(Failed(text=f"{type(error).__name__}: {error}"))

    def _work(self) -> None:
        self._delivery.work()
        if self._delivery.refusal:
            self._want_stop(self._delivery.refusal, is_final=True)
        while self._delivery.recoveries:
            said = self._delivery.recoveries.pop()
            self._tell(
                Note(text=f"Kafka lost track of the producer ({said}); what was on its way is sent again")
            )
        self._show()

    def _do(self, job: _Job) -> None:
        match job:
            case _Submitted():
                self._send_step(job.step, job.slot)
                self._submitted += 1
                self._tell(Freed(slot=job.slot))
            case _Sync():
                answer = self._sync(job.timeout)
                self._show()
                self._tell(answer)
            case _Close():
                self._tell(self._close(job.ended))
            case _:
                self._send_message(job, range(self.started.partitions))

    def _send_step(self, step: Step, slot: int) -> None:
        """Decide what becomes of a step; those of an outage share one time of patience."""
        delivery, policy = self._delivery, self._settings.policy
        if policy == "spill" and delivery.has_backlog:
            self._put_aside(step, slot)
        elif self._wait_for_room(0.0 if self._is_blocked else self._settings.max_stall / 2):
            self._send_live(step, slot)
        elif policy == "drop" and not delivery.refusal:
            self._block("Kafka is slow or away: steps are dropped until there is room again")
            self._dropped += 1
            reason = f"no room in the buffer of {self._settings.buffer_bytes} bytes"
            gap = Gap(run=self.started.run, attempt=self.started.attempt, step=step.number, reason=reason)
            self._send_message(gap, (self._partition,))
        else:
            if policy == "stop":
                self._want_stop("Kafka is slow or away and the buffer is full (stream.policy = 'stop')")
            self._block(f"Kafka is slow or away: steps go to the spool, {delivery.spool.folder}")
            self._put_aside(step, slot)

    def _block(self, note: str) -> None:
        if not self._is_blocked:
            self._is_blocked = True
            self._tell(Note(text=note))

    def _send_live(self, step: Step, slot: int) -> None:
        if self._is_blocked:
            self._is_blocked = False
            self._tell(Note(text="Kafka takes steps again"))
        self._delivery.send(self._records(step, slot), self.started.step_bytes, step.number)

    def _put_aside(self, step: Step, slot: int) -> None:
        """Spool a step; where that cannot be, hold it until Kafka takes it or the end has come."""
        delivery, settings = self._delivery, self._settings
        reserved = settings.reserved_bytes(self.started.step_bytes, len(self._frames))
        if delivery.spool.used_bytes + reserved > settings.spool_bytes:
            self._want_stop(f"the spool is full (stream.spool_bytes = {settings.spool_bytes})")
        try:
            delivery.put_aside(self._records(step, slot), step.number)
        except SpoolUnwritable as error:
            self._want_stop(str(error))
            if self._wait_for_room(FOR_EVER):
                self._send_live(step, slot)
            else:
                delivery.lost.append(step.number)

    def _send_message(self, message: JsonMessage, partitions: Sequence[int]) -> None:
        headers, value = encode(message)
        records = [Record(partition, headers, value) for partition in partitions]
        delivery = self._delivery
        if not delivery.takes_live:
            try:
                delivery.put_aside(records)
                return
            except SpoolUnwritable as error:
                self._want_stop(str(error))
            if not delivery.wait(lambda: delivery.takes_live, lambda: self._deadline):
                delivery.lost.append(OTHER)
                return
        delivery.send(records, CONTROL_BYTES)

    @property
    def _partition(self) -> int:
        return self._submitted % self.started.partitions

    def _records(self, step: Step, slot: int) -> list[Record]:
        messages = step_messages(step, self._frames[slot], self.started)
        return [Record(self._partition, *encode(message)) for message in messages]

    def _wait_for_room(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        return self._delivery.wait(
            lambda: self._delivery.has_room(self.started.step_bytes), lambda: min(deadline, self._deadline)
        )

    def _sync(self, timeout: float) -> Synced:
        delivery, deadline = self._delivery, time.monotonic() + timeout
        if not delivery.wait(lambda: delivery.is_safe, lambda: deadline):
            if not delivery.can_evacuate:
                return Synced(is_safe=False, text="Kafka is away, and the spool has no room for the buffer")
            delivery.evacuate()
        try:
            delivery.spool.sync()
        except SpoolUnwritable as error:
            return Synced(is_safe=False, text=str(error))
        return Synced(is_safe=delivery.is_safe, text="")

    def _close(self, ended: RunEnded | None) -> Closed:
        """End the run: everything acknowledged in time, or the rest in the spool."""
        delivery = self._delivery
        if ended is not None:
            self._send_message(ended, range(self.started.partitions))
        while not self._is_done_before(time.monotonic() + NOTE_SECONDS):
            if delivery.refusal or time.monotonic() >= self._deadline:
                break
            self._tell(Note(text=f"waiting for Kafka: {self._on_its_way()}"))
        if not delivery.is_done:
            delivery.evacuate()
        problem = self._sync_spool()
        self._show()
        if delivery.is_done and not delivery.lost:
            return Closed()
        return Closed(
            lost=tuple(delivery.lost),
            spool=str(delivery.spool.folder),
            items=delivery.spool.items,
            nbytes=delivery.spool.used_bytes,
            reason=problem or delivery.refusal or "Kafka did not take it in time",
        )

    def _sync_spool(self) -> str:
        """Put the spool on the disk; what may not be there counts as lost. Returns why."""
        try:
            self._delivery.spool.sync()
        except SpoolUnwritable as error:
            self._delivery.give_up_spooled()
            return str(error)
        return ""

    def _is_done_before(self, moment: float) -> bool:
        return self._delivery.wait(lambda: self._delivery.is_done, lambda: min(moment, self._deadline))

    def _on_its_way(self) -> str:
        return (
            f"{self._delivery.outstanding} bytes sent and not acknowledged, {self._delivery.spool.items} "
            f"items in the spool {self._delivery.spool.folder}"
        )

    def _want_stop(self, reason: str, *, is_final: bool = False) -> None:
        if not self._stop_reason:
            self._stop_reason = reason
            self._tell(StopWanted(reason=reason, is_final=is_final))

    def _show(self) -> None:
        delivery = self._delivery
        self._counts.count(
            acknowledged=delivery.acknowledged,
            spilled=delivery.spilled,
            spooled=delivery.spooled,
            dropped=self._dropped,
            outstanding=delivery.outstanding,
        )
