"""Delivers a spool through a producer, in order, and deletes behind the acknowledgements."""

from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from lockstream.bridge.errors import DeliveryFailed
from lockstream.bridge.spool import Spool
from lockstream.bridge.spool_format import SpoolRecord

WINDOW_BYTES = 64 << 20


class Producer(Protocol):
    """The part of ``confluent_kafka.Producer`` that is used here."""

    def produce(self, topic: str, **record: Any) -> None:
        """Queue one record."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""


class _Sent:
    """An item on its way."""

    def __init__(self, seq: int) -> None:
        self.seq, self.unreported, self.is_whole = seq, 0, False


class Drain:
    """Sends what a spool holds; one thread calls it, and serves the producer's delivery reports with it.

    Parameters
    ----------
    spool
        What is to be delivered, from its cursor on.
    producer
        An idempotent producer, whose order is that of `produce`.
    topic
        The run's topic.
    window_bytes
        Bound on the values that are on their way; a single record is sent even if it is larger.
    """

    def __init__(
        self, spool: Spool, producer: Producer, topic: str, window_bytes: int = WINDOW_BYTES
    ) -> None:
        self.items = self.records = self.bytes = 0  # acknowledged
        self._spool, self._producer, self._topic = spool, producer, topic
        self._window_bytes, self._on_the_way = window_bytes, 0
        self._items: deque[_Sent] = deque()
        self._reached = self._told = -1  # largest item acknowledged, and as far as the spool knows
        self._waiting: SpoolRecord | None = None  # read, and not taken by the producer yet
        self._records: Iterator[SpoolRecord] = iter(())
        self._failure: DeliveryFailed | None = None

    def pump(self, timeout: float) -> bool:
        """Send what there is room for, and serve delivery reports.

        Parameters
        ----------
        timeout
            Seconds to wait for a report.

        Returns
        -------
        bool
            Whether anything is left to be sent or acknowledged.

        Raises
        ------
        DeliveryFailed
            If Kafka refused a record; everything not acknowledged is still in the spool.
        SpoolDamaged
            If the spool does not hold what was written to it.
        SpoolUnwritable
            If what is delivered cannot be deleted.
        """
        while self._on_the_way < self._window_bytes and self._next():
            if not self._send():
                break
        self._producer.poll(timeout if self._on_the_way or self._items or self._waiting else 0)
        if self._failure is not None:
            raise self._failure
        self._settle()
        return bool(self._items or self._waiting or self._spool.items)

    def _next(self) -> bool:
        """Have the next record ready; False if there is none."""
        while self._waiting is None:
            self._waiting = next(self._records, None)
            if self._waiting is not None:
                break
            if self._items:
                self._items[-1].is_whole = True
            if (item := self._spool.next_item()) is None:
                return False
            self._items.append(_Sent(item[0]))
            self._records = item[1]
        return True

    def _send(self) -> bool:
        """Hand the record that is ready to the producer; False if its queue is full."""
        record, item = self._waiting, self._items[-1]
        if record is None:
            return False
        size = len(record.value)

        def report(error: object, _message: object) -> None:
            self._reported(item, size, error)

        try:
            self._producer.produce(
                self._topic,
                value=record.value,
                headers=record.headers,
                partition=record.partition,
                on_delivery=report,
            )
        except BufferError:  # librdkafka's queue is full for a moment
            return False
        self._waiting = None
        self._on_the_way += size
        item.unreported += 1
        return True

    def _reported(self, item: _Sent, size: int, error: object) -> None:
        self._on_the_way -= size
        item.unreported -= 1
        if error is None:
            self.records += 1
            self.bytes += size
        elif self._failure is None:
            self._failure = DeliveryFailed(f"item {item.seq} of the spool was not delivered: {error}")

    def _settle(self) -> None:
        """Let go of the items that are acknowledged whole, as far as no earlier one is still to come."""
        while self._items and self._items[0].is_whole and self._items[0].unreported == 0:
            self._reached = max(self._reached, self._items.popleft().seq)
            self.items += 1
        # An item may have been inserted before those that are on their way.
        earliest = min([self._spool.cursor, *(item.seq for item in self._items)])
        if (reached := min(self._reached, earliest - 1)) > self._told:
            self._spool.delivered(reached)
            self._told = reached
        elif reached < self._told:
            self._told = reached
