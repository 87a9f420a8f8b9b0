"""The rank-0 publisher: takes frames from the simulation's thread and sends them from its own.

The simulation's thread borrows a frame (`acquire`), fills it and hands it over (`submit`). The sender thread
cuts it into tiles and produces them; a second thread collects the acknowledgements. What is accepted and
not yet acknowledged is bounded in bytes: `acquire` waits when the bound is reached.
"""

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import confluent_kafka
import numpy as np

from lockstream.bridge.client import (
    KafkaOptions,
    admin_client,
    client_config,
    first_contact,
    servers_of,
    with_options,
)
from lockstream.bridge.codecs import deflate
from lockstream.bridge.errors import ConfigurationError, DeliveryFailed
from lockstream.bridge.messages import (
    DTYPES,
    Manifest,
    Message,
    RunStarted,
    Tile,
    TileRecord,
    check_diagnostics,
    run_topic,
)
from lockstream.bridge.rounding import round_mantissa
from lockstream.bridge.settings import StreamSettings
from lockstream.bridge.tiles import tile_offsets
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, TopicExists, create_topic, run_topic_settings
from lockstream.bridge.wire import crc32c, encode

FRAMES = 2  # one is filled while the other is sent
MAX_QUEUED_RECORDS = 1_000_000
POLL_SECONDS = 0.1

Arrays = Mapping[str, np.ndarray[Any, Any]]


class Producer(Protocol):
    """The part of ``confluent_kafka.Producer`` that is used here."""

    def produce(self, topic: str, **record: Any) -> None:
        """Queue one record."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""


class Step(NamedTuple):
    """What a frame is about."""

    number: int
    time: float
    diagnostics: Mapping[str, float | None]


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


def begin_publishing(started: RunStarted, settings: StreamSettings, options: KafkaOptions) -> "Publisher":
    """Make the run's topic and a publisher for it, and send ``run-started``.

    Raises
    ------
    UserError
        If a setting will not do, nobody answers, or the topic cannot be made.
    """
    if started.step_bytes > settings.buffer_bytes:
        raise ConfigurationError(
            "stream.buffer_bytes", settings.buffer_bytes, f"one step has {started.step_bytes}: make it larger"
        )
    config = {
        "linger.ms": 1,  # tiles are large: there is nothing to wait for
        **client_config(
            options,
            enable_idempotence=True,
            acks="all",
            compression_type="none",
            message_max_bytes=MAX_MESSAGE_BYTES,
            queue_buffering_max_kbytes=max(settings.buffer_bytes + started.step_bytes, 1 << 24) >> 10,
            queue_buffering_max_messages=MAX_QUEUED_RECORDS,
        ),
    }
    producer = with_options(confluent_kafka.Producer, config)
    admin = admin_client(options)
    first_contact(admin, servers_of(options))
    topic = run_topic(started.run)
    try:
        create_topic(
            admin,
            topic,
            partitions=started.partitions,
            replication=settings.replication,
            settings=run_topic_settings(settings.retention_hours),
        )
    except TopicExists:
        raise ConfigurationError(
            "run.id",
            started.run,
            f"topic {topic!r} holds a run of that name; choose another id, or delete it",
        ) from None
    publisher = Publisher(producer, topic, started, settings.buffer_bytes)
    publisher.send_now(started)
    return publisher


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
        self._free = [_empty_frame(started) for _ in range(FRAMES)]
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
        tiles = list(self._cut(step, frame))
        records: tuple[TileRecord, ...] = tuple(tile.record for tile in tiles)
        manifest = Manifest(
            run=self.started.run,
            attempt=self.started.attempt,
            step=step.number,
            time=step.time,
            tiles=records,
            diagnostics=dict(step.diagnostics),
        )
        with self._changed:
            self._waiting_for[step.number] = len(tiles) + 1
        messages: list[Message] = [*tiles, manifest]
        for message in messages:
            self._produce(partition, *encode(message), step.number)

    def _cut(self, step: Step, frame: Arrays) -> Iterator[Tile]:
        started = self.started
        for field in started.fields:
            array = frame[field.name]
            if field.name in started.rounding:
                round_mantissa(array, started.rounding[field.name])
            for offset, extent in tile_offsets(field.shape, started.tiles[field.name]):
                elements = array[tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))]
                packed = deflate(elements) if started.codec == "deflate" else b""
                is_packed = 0 < len(packed) < elements.nbytes
                yield Tile(
                    run=started.run,
                    attempt=started.attempt,
                    step=step.number,
                    field=field.name,
                    dtype=field.dtype,
                    shape=field.shape,
                    offset=offset,
                    extent=extent,
                    codec="deflate" if is_packed else "none",
                    raw_size=elements.nbytes,
                    crc32c=crc32c(elements),
                    payload=packed if is_packed else elements,
                )

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


def _empty_frame(started: RunStarted) -> Arrays:
    # Zeroed by hand: pages that nobody touched before would fault in the simulation's time.
    frame = {field.name: np.empty(field.shape, DTYPES[field.dtype]) for field in started.fields}
    for array in frame.values():
        array.fill(0)
    return frame
