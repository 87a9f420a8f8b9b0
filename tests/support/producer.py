"""A producer that keeps what it is given and reports delivery when it is told to."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import KafkaError

from lockstream.bridge.messages import Message
from lockstream.bridge.wire import decode


class Reported(NamedTuple):
    """What a delivery report shows of a record."""

    content: bytes

    def value(self) -> bytes:
        return self.content


class Sent(NamedTuple):
    topic: str
    partition: int
    headers: list[tuple[str, bytes]]
    value: bytes
    report: Callable[[object, object], None]

    @property
    def message(self) -> Message:
        return decode(self.headers, self.value)


class FakeProducer:
    """Stands in for ``confluent_kafka.Producer``.

    Parameters
    ----------
    delivers
        Whether everything is delivered at the next poll.
    full
        How often the queue is said to be full.
    fails
        Raised by the `fails_at`-th call of `produce`.
    unheard
        So many of the records that are reported as failed Kafka has stored all the same.
    """

    def __init__(
        self,
        *,
        delivers: bool = True,
        full: int = 0,
        fails: Exception | None = None,
        fails_at: int = 0,
        unheard: int = 0,
    ) -> None:
        self.sent: list[Sent] = []
        self.delivered: list[Sent] = []
        self.delivers = delivers
        self._full, self._fails, self._fails_at = full, fails, fails_at
        self._reported, self._unheard = 0, unheard
        self._error: KafkaError | None = None
        self._changed, self._reporting = threading.Condition(), threading.Lock()

    def produce(self, topic: str, **record: Any) -> None:
        with self._changed:
            if self._full:
                self._full -= 1
                raise BufferError("Local: Queue full")
            if self._fails and len(self.sent) == self._fails_at:
                raise self._fails
            value = record["value"]
            copy = value if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes()
            self.sent.append(Sent(topic, record["partition"], record["headers"], copy, record["on_delivery"]))
            self._changed.notify_all()

    def poll(self, timeout: float) -> int:
        def is_due() -> bool:
            return (self.delivers or self._error is not None) and self._reported < len(self.sent)

        with self._changed:
            self._changed.wait_for(is_due, timeout)
        return self.deliver(error=self._error) if is_due() else 0

    def purge(self) -> None:
        self.fail(KafkaError(KafkaError._PURGE_QUEUE))

    def fail(self, error: KafkaError) -> None:
        """Report everything that is not delivered yet, and all that comes, as failed."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def answer(self, delivers: bool) -> None:
        """Deliver from here on, or do not."""
        with self._changed:
            self.delivers = delivers
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so many records have been produced."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.sent) >= count, 10), len(self.sent)

    def deliver(self, count: int | None = None, error: object = None) -> int:
        """Report the next records, or all, as delivered or failed."""
        with self._reporting:
            with self._changed:
                stop = len(self.sent) if count is None else min(self._reported + count, len(self.sent))
                due, self._reported = self.sent[self._reported : stop], stop
            for sent in due:
                if error is None or self._unheard > 0:
                    self._unheard -= error is not None
                    self.delivered.append(sent)
                sent.report(error, Reported(sent.value))
        return len(due)
