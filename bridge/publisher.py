"""The rank-0 publisher: takes frames from the simulation's thread and sends them from its own.

The simulation's thread borrows a frame (`acquire`), fills it and hands it over (`submit`). The sender thread
cuts it into tiles and produces them; a second thread collects the acknowledgements. What is accepted and
not yet acknowledged is bounded in bytes: `acquire` waits when the bound is reached.
"""

import queue
import threading
import time
from typing import Any, NamedTuple, Protocol

from lockstream.bridge.errors import DeliveryFailed
from lockstream.bridge.frames import Arrays, Step, empty_frame, step_messages
from lockstream.bridge.messages import Message, RunStarted, check_diagnostics
from lockstream.bridge.wire import encode

FRAMES = 2  # one is filled while the other is sent
POLL_SECONDS = 0.1


class Producer(Protocol):
    """The part of ``confluent_kafka.Producer`` that is used here."""

    def produce(self, topic: str, **record: Any) -> None:
        """Queue one record."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""


class Progress(NamedTuple):
    """How far the publisher has come.

    Parameters
    ----------
    accepted, acknowledged
        Steps.
    outstanding
        Raw bytes accepted but not acknowledged.
    """

    accepted: int
    acknowledged: int
    outstanding: int


class Publisher:
    """Sends the steps of one attempt in order, the n-th one whole to partition n mod partitions.

    Parameters
    ----------
    producer
        An idempotent producer whose queue holds at least `buffer_bytes` and one step more.
    topic
        The run's topic.
    started
        The attempt's first message: fields, tile shapes, partitions.
    buffer_bytes
        Bound on what is accepted but not acknowledged, at least one step.
    """

    def __init__(self, producer: Producer, topic: str, started: RunStarted, buffer_bytes: int) -> None:
        self.started = started
        self._producer, self._topic = producer, topic
        self._buffer_bytes = buffer_bytes
        self._changed = threading.Condition()
        self._accepted = self._acknowledged = self._outstanding = 0
        self._waiting_for: dict[int, int] = {}  # records without a delivery report yet, by step
        self._failure: Exception | None = None
        self._stopped = False
        self._free = [empty_frame(started) for _ in range(FRAMES)]
        self._submitted: queue.SimpleQueue[tuple[Step, Arrays] | None] = queue.SimpleQueue()
        self._sender = threading.Thread(target=self._send_all, name="lockstream-sender", daemon=True)
        self._poller = threading.Thread(target=self._poll_all, name="lockstream-poller", daemon=True)
        self._sender.start()
        self._poller.start()

    def acquire(self) -> Arrays:
        """Borrow a frame to fill, waiting for room if need be.

        Returns
        -------
        Arrays
            One array per field, of its global shape; what they hold is left over from an earlier step.

        Raises
        ------
        DeliveryFailed
            If a step could not be delivered.
        """
        step_bytes = self.started.step_bytes
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._failure is not None
                    or (self._free and self._outstanding + step_bytes <= self._buffer_bytes)
                )
            )
            self._raise_failure()
            return self._free.pop()

    def give_back(self, frame: Arrays) -> None:
        """Return a borrowed frame that will not be submitted after all."""
        with self._changed:
            self._free.append(frame)
            self._changed.notify_all()

    def submit(self, step: Step, frame: Arrays) -> None:
        """Accept a step: from here on it is sent, or its loss is an error.

        Raises
        ------
        ValueError
            If a diagnostic cannot be a variable beside the fields; the frame is still the caller's.
        """
        check_diagnostics(self.started, step.diagnostics)
        with self._changed:
            self._accepted += 1
            self._outstanding += self.started.step_bytes
        self._submitted.put((step, frame))

    def send_now(self, message: Message) -> None:
        """Send a message to every partition, from the caller's thread; counts as step -1 until delivered."""
        headers, value = encode(message)
        with self._changed:
            self._waiting_for[-1] = self._waiting_for.get(-1, 0) + self.started.partitions
        for partition in range(self.started.partitions):
            self._produce(partition, headers, value, -1)

    def finish(self, timeout: float) -> list[int]:
        """Wait until everything submitted is acknowledged.

        Returns
        -------
        list of int
            Steps still missing after `timeout` seconds; -1 stands for ``run-started`` and ``run-ended``.

        Raises
        ------
        DeliveryFailed
            If a step could not be delivered.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or self._is_done(), timeout)
            self._raise_failure()
            return sorted(self._waiting_for)

    def stop(self) -> None:
        """End both threads; what has not been sent is not sent any more."""
        self._stopped = True
        self._submitted.put(None)
        self._sender.join()
        self._poller.join()

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        with self._changed:
            return Progress(self._accepted, self._acknowledged, self._outstanding)

    def _is_done(self) -> bool:
        return self._accepted == self._acknowledged and not self._waiting_for

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise DeliveryFailed(
                f"the run cannot be published any further: {self._failure}"
            ) from self._failure

    def _send_all(self) -> None:
        try:
            for sent, (step, frame) in enumerate(iter(self._submitted.get, None)):
                self._send(step, frame, sent % self.started.partitions)
                self.give_back(frame)
        except Exception as error:  # whatever it is, the simulation's thread must learn it
            self._fail(error)

    def _send(self, step: Step, frame: Arrays, partition: int) -> None:
        messages = step_messages(step, frame, self.started)
        with self._changed:
            self._waiting_for[step.number] = len(messages)
        for message in messages:
            self._produce(partition, *encode(message), step.number)

    def _produce(self, partition: int, headers: Any, value: Any, step: int) -> None:
        def report(error: object, _message: object) -> None:
            self._delivered(step, error)

        while not self._stopped:
            try:
                self._producer.produce(
                    self._topic, value=value, headers=headers, partition=partition, on_delivery=report
                )
            except BufferError:  # librdkafka's queue is full for a moment: the poller empties it
                time.sleep(0.001)
            else:
                return

    def _delivered(self, step: int, error: object) -> None:
        """Count one delivery report; a step is acknowledged when all of its records are."""
        if error is not None:
            self._fail(DeliveryFailed(f"step {step} was not delivered: {error}"))
            return
        with self._changed:
            self._waiting_for[step] -= 1
            if self._waiting_for[step] == 0:
                del self._waiting_for[step]
                if step >= 0:
                    self._acknowledged += 1
                    self._outstanding -= self.started.step_bytes
                self._changed.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def _poll_all(self) -> None:
        while not self._stopped:
            self._producer.poll(POLL_SECONDS)
