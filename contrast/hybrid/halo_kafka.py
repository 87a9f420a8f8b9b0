"""How bands in processes of their own learn their neighbours' edges: through a topic with a partition for each.

As somebody writes it who knows Kafka: nobody waits for a group, since each worker assigns its own partition to
itself; nothing lingers; no broker waits to have more to answer; the producer is idempotent, for an edge that is
lost or comes twice would stop everybody.
"""

from typing import Any

import numpy as np
from confluent_kafka import KafkaError, Message, Producer, TopicPartition

from lockstream.bridge.client import client_config
from lockstream.bridge.errors import LockstreamError
from lockstream.contrast.hybrid.workflow import Array, Band
from lockstream.contrast.leaders import await_leader
from lockstream.kafka.log import reader, record_of

PATIENCE_SECONDS = 60.0
_ABOVE, _BELOW = b"above", b"below"


class ExchangeFailed(LockstreamError):
    """Rows did not come, or could not be sent."""


def producer(servers: str) -> Producer:
    """Make a producer for whom each millisecond counts; it knows the cluster already."""
    made = Producer(
        client_config(
            {"bootstrap.servers": servers},
            enable_idempotence=True,
            linger_ms=0,
            socket_nagle_disable=True,
        )
    )
    made.list_topics(timeout=PATIENCE_SECONDS)
    return made


def check_delivery(error: KafkaError | None, _message: Message) -> None:
    """Raise, out of ``poll`` or ``flush``, if Kafka did not take a record.

    Raises
    ------
    ExchangeFailed
        With Kafka's reason.
    """
    if error is not None:
        raise ExchangeFailed(f"Kafka did not take a record: {error.str()}")


class HaloByTopic:
    """Exchanges the outermost rows of a band with the workers before and after this one; a context manager.

    Parameters
    ----------
    servers, topic
        Where; the topic has a partition for each worker, into which its neighbours write.
    band, worker, workers
        Which band of how many.
    sender
        A producer; it is the caller's.
    """

    def __init__(
        self, servers: str, topic: str, band: Band, worker: int, workers: int, sender: Producer
    ) -> None:
        self._topic, self._band, self._sender = topic, band, sender
        self._above, self._below = (worker - 1) % workers, (worker + 1) % workers
        self._came: dict[tuple[int, bytes], Array] = {}  # a neighbour may be a step ahead
        self._consumer = reader({"bootstrap.servers": servers}, fetch_min_bytes=1, socket_nagle_disable=True)
        await_leader(self._consumer, topic, worker)
        self._consumer.assign([TopicPartition(topic, worker, 0)])

    def exchange(self, step: int) -> None:
        """Fill the first and the last row.

        Raises
        ------
        ExchangeFailed
            If a neighbour's row does not come.
        """
        rows = self._band.padded
        self._send(step, self._above, _BELOW, rows[1])  # what is below the neighbour above
        self._send(step, self._below, _ABOVE, rows[-2])
        rows[0] = self._await(step, _ABOVE)
        rows[-1] = self._await(step, _BELOW)

    def _send(self, step: int, neighbour: int, side: bytes, row: Array) -> None:
        self._sender.produce(
            self._topic,
            value=row.tobytes(),
            partition=neighbour,
            headers=[("step", b"%d" % step), ("side", side)],
            on_delivery=check_delivery,
        )
        self._sender.poll(0)

    def _await(self, step: int, side: bytes) -> Array:
        while (step, side) not in self._came:
            message = self._consumer.poll(PATIENCE_SECONDS)
            record = record_of(message) if message is not None else None
            if message is None:
                raise ExchangeFailed(f"no row came within {PATIENCE_SECONDS:g} s: {side!r} of step {step}")
            if record is not None:
                said: dict[str, Any] = dict(record.headers or ())
                self._came[int(said["step"]), said["side"]] = np.frombuffer(record.value or b"")
        return self._came.pop((step, side))

    def __enter__(self) -> "HaloByTopic":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()
