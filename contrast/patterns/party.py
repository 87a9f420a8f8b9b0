"""A participant of exchanges through Kafka: one producer and one consumer that stay, set for short ways."""

import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from lockstream.bridge.client import client_config
from lockstream.bridge.errors import LockstreamError
from lockstream.bridge.messages import MAX_TILE_BYTES
from lockstream.bridge.topics import MAX_MESSAGE_BYTES
from lockstream.contrast.patterns.payload import Array

PATIENCE_SECONDS = 60.0

USUAL: Mapping[str, Any] = {  # a producer that loses and reorders nothing, and does not wait for company
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 0,
}
_PRODUCER = {
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 512 * 1024,
    "socket.nagle.disable": True,
}
_CONSUMER = {
    "group.id": "contrast",  # names it; as it places itself, nobody is asked for a share
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "fetch.min.bytes": 1,  # answered as soon as there is something
    "fetch.wait.max.ms": 500,  # how long the broker keeps a question that it has nothing for: costs no latency
    "fetch.queue.backoff.ms": 2,  # by default a second without a question, once the local queue is full
    "max.partition.fetch.bytes": 4 * MAX_MESSAGE_BYTES,
    "socket.nagle.disable": True,
}


class ExchangeFailed(LockstreamError):
    """Kafka did not bring what was due, or something else."""


class Party:
    """One participant.

    Parameters
    ----------
    servers
        Of the Kafka.
    topic
        Used for nothing else; it has a partition for each participant.
    rank, size
        Which one this is, and of how many.
    producer
        How the producer differs from others, in librdkafka's words.

    Notes
    -----
    A payload goes as records of at most 1 MiB, as that of the bridge does, with the sender's rank as their key.
    Partitions are read from their begin on, once something was asked of them.
    """

    def __init__(
        self, servers: str, topic: str, rank: int, size: int, producer: Mapping[str, Any] = USUAL
    ) -> None:
        self.rank, self.size = rank, size
        self.others = tuple(other for other in range(size) if other != rank)
        self._topic, self._key = topic, bytes([rank])
        kafka = client_config({"bootstrap.servers": servers})
        self._producer: Any = Producer({**kafka, **_PRODUCER, **producer})
        self._consumer: Any = Consumer({**kafka, **_CONSUMER})
        self._failure: object = None
        self._read: set[int] = set()
        self._waiting: defaultdict[tuple[int, int], deque[bytes]] = defaultdict(deque)

    def produce(self, array: Array, partition: int) -> None:
        """Have a contiguous array sent; it is copied, and this does not wait."""
        flat = array.reshape(-1).view(np.uint8)
        for begin in range(0, max(1, flat.size), MAX_TILE_BYTES):
            self._produce(flat[begin : begin + MAX_TILE_BYTES], partition)

    def consume(self, into: Array, sender: int, partition: int) -> None:
        """Wait for what `sender` sent next, as large as `into`."""
        flat, begin = into.reshape(-1).view(np.uint8), 0
        for piece in self._pieces(flat.size, sender, partition):
            flat[begin : begin + len(piece)] = np.frombuffer(piece, np.uint8)
            begin += len(piece)

    def fold(self, total: Array, sender: int, partition: int) -> None:
        """Likewise, and add it to `total`, record by record."""
        flat, begin = total.reshape(-1), 0
        for piece in self._pieces(total.nbytes, sender, partition):
            addend = np.frombuffer(piece, total.dtype)
            flat[begin : begin + addend.size] += addend
            begin += addend.size

    def settle(self) -> None:
        """Wait until Kafka has acknowledged all that was sent; not by a flush, which would not let it linger.

        Raises
        ------
        ExchangeFailed
            It has not.
        """
        limit = time.monotonic() + PATIENCE_SECONDS
        while (left := len(self._producer)) and time.monotonic() < limit:
            self._producer.poll(0.1)
        if left or self._failure:
            raise ExchangeFailed(f"{left} records were not acknowledged ({self._failure or 'time is up'})")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.purge()
        self._consumer.close()

    def _produce(self, value: Array, partition: int) -> None:
        while True:
            try:
                self._producer.produce(
                    self._topic, value, self._key, partition, on_delivery=self._note_delivery
                )
                self._producer.poll(0)
                return
            except BufferError:  # its queue is full: until some of it is delivered
                self._producer.poll(0.01)

    def _note_delivery(self, error: object, _: object) -> None:
        self._failure = self._failure or error

    def _pieces(self, nbytes: int, sender: int, partition: int) -> Iterator[bytes]:
        missing = nbytes
        while True:
            piece = self._next(sender, partition)
            missing -= len(piece)
            if missing < 0:
                raise ExchangeFailed(f"{-missing} bytes more than {nbytes} came from {sender}")
            yield piece
            if missing == 0:
                return

    def _next(self, sender: int, partition: int) -> bytes:
        if partition not in self._read:
            self._read.add(partition)
            self._consumer.incremental_assign([TopicPartition(self._topic, partition, 0)])
        waiting = self._waiting[partition, sender]
        while not waiting:
            message = self._consumer.poll(PATIENCE_SECONDS)
            if message is None:
                raise ExchangeFailed(f"nothing came from {sender} within {PATIENCE_SECONDS:.0f} s")
            if message.error():
                raise ExchangeFailed(f"Kafka says: {message.error()}")
            key = message.key()
            if key is None or len(key) != 1 or key[0] >= self.size:
                raise ExchangeFailed(f"a record with the key {key!r} is of no participant")
            self._waiting[message.partition(), key[0]].append(message.value() or b"")
        return waiting.popleft()
