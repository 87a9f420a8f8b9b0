"""What librdkafka was given and Kafka has not acknowledged yet; it can be taken back.

An item is what travels together: the records of a step, or one message in every partition. Items have growing
sequence numbers, and Kafka stores them in that order.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError, KafkaException

from lockstream.bridge.wire import Headers

POLL_SECONDS = 0.1
PURGE_SECONDS = 10.0  # librdkafka reports what it gave up within milliseconds

_GIVEN_UP = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
_LOST_TRACK = (  # the broker or librdkafka does not know the producer's sequence any more; a new one does
    KafkaError._FATAL,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    KafkaError.UNKNOWN_PRODUCER_ID,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
)


class Record(NamedTuple):
    """One Kafka record to be sent; the value is bytes or a contiguous array."""

    partition: int
    headers: Headers
    value: Any


class Producer(Protocol):
    """The part of ``confluent_kafka.Producer`` that is used here."""

    def produce(self, topic: str, **record: Any) -> None:
        """Queue one record; its value is copied."""

    def poll(self, timeout: float) -> int:
        """Serve delivery reports."""

    def purge(self) -> None:
        """Give up everything; each record is then reported as failed, with its value."""


@dataclass(slots=True)
class Item:
    """Records on their way.

    Parameters
    ----------
    seq
        Its number.
    waiting_for
        Records without a delivery report.
    nbytes
        What it counts in the buffer.
    step
        Number of the step that it is; -1 for any other message.
    is_spooled
        Whether the spool has it too.
    returned
        Records that Kafka did not take, in the order in which they were sent.
    """

    seq: int
    waiting_for: int
    nbytes: int
    step: int
    is_spooled: bool
    returned: dict[int, Record] = field(default_factory=dict)


class Outbox:
    """Sends items and keeps account of them.

    Parameters
    ----------
    start_producer
        Makes an idempotent producer.
    topic
        Where to.
    acknowledged
        Called for every item that Kafka has stored whole.
    changed
        Notified whenever something came or went; guards the account.
    """

    def __init__(
        self,
        start_producer: Callable[[], Producer],
        topic: str,
        acknowledged: Callable[[Item], None],
        changed: threading.Condition,
    ) -> None:
        self._start_producer, self._topic = start_producer, topic
        self._acknowledged, self._changed = acknowledged, changed
        self._items: dict[int, Item] = {}
        self.nbytes = 0
        self.error: KafkaError | None = None
        """What Kafka said when it refused a record for good."""
        self._stopped = False
        self._producer = start_producer()
        self._poller = threading.Thread(target=self._poll_all, name="lockstream-poller", daemon=True)
        self._poller.start()

    def send(
        self, seq: int, records: Sequence[Record], nbytes: int, *, step: int = -1, is_spooled: bool = False
    ) -> None:
        """Hand an item to librdkafka; the values may be overwritten when this returns."""
        item = Item(seq, len(records), nbytes, step, is_spooled)
        with self._changed:
            self._items[seq] = item
            self.nbytes += nbytes
        for number, record in enumerate(records):
            self._produce(item, number, record)

    @property
    def oldest(self) -> int | None:
        """The lowest sequence number on its way, None if there is nothing."""
        with self._changed:
            return min(self._items, default=None)

    @property
    def is_safe(self) -> bool:
        """Whether everything on its way is in the spool too."""
        with self._changed:
            return all(item.is_spooled for item in self._items.values())

    @property
    def is_refused(self) -> bool:
        """Whether another producer would be refused just so."""
        return self.error is not None and self.error.code() not in _LOST_TRACK

    def take_back(self) -> dict[int, Item]:
        """Have librdkafka give up everything that is not acknowledged, and begin anew with another producer.

        A record that was on the wire may have been stored all the same: whoever sends it again sends a
        duplicate.

        Returns
        -------
        dict
            The items, by sequence number in ascending order, each with the records that came back.
        """
        self._producer.purge()
        with self._changed:
            self._changed.wait_for(
                lambda: not any(i.waiting_for for i in self._items.values()), PURGE_SECONDS
            )
            items, self._items = self._items, {}
            self.nbytes, self.error = 0, None
        self._producer = self._start_producer()
        return dict(sorted(items.items()))

    def send_again(self) -> None:
        """Begin anew with another producer, and give it in the same order what is not acknowledged."""
        for item in self.take_back().values():
            records = [item.returned[number] for number in sorted(item.returned)]
            self.send(item.seq, records, item.nbytes, step=item.step, is_spooled=item.is_spooled)

    def stop(self) -> None:
        """End the thread; what is on its way is given up."""
        self._stopped = True
        self._poller.join()
        self._producer.purge()
        self._producer.poll(0)

    def _produce(self, item: Item, number: int, record: Record) -> None:
        kept = record._replace(value=None)  # librdkafka has a copy of the value

        def report(error: KafkaError | None, message: Any) -> None:
            self._reported(item, number, kept, error, message)

        while not self._stopped:
            try:
                self._producer.produce(
                    self._topic,
                    value=record.value,
                    headers=record.headers,
                    partition=record.partition,
                    on_delivery=report,
                )
            except BufferError:  # librdkafka's queue is full for a moment: the poller empties it
                time.sleep(0.001)
            except KafkaException as refusal:
                self._reported(item, number, record, refusal.args[0], None)
                return
            else:
                return

    def _reported(
        self, item: Item, number: int, record: Record, error: KafkaError | None, message: Any
    ) -> None:
        """Count one delivery report; an item is acknowledged when all of its records are."""
        with self._changed:
            if self._items.get(item.seq) is not item:
                return  # taken back before librdkafka had a word for it
            item.waiting_for -= 1
            if error is not None:
                value = message.value() if message is not None else bytes(memoryview(record.value))
                item.returned[number] = record._replace(value=value)
                if error.code() not in _GIVEN_UP:
                    self._note(error)
            if item.waiting_for == 0 and not item.returned:
                del self._items[item.seq]
                self.nbytes -= item.nbytes
                self._acknowledged(item)
            if item.waiting_for == 0 or error is not None:
                self._changed.notify_all()

    def _note(self, error: KafkaError) -> None:
        """Keep what says most: `_FATAL` only says that something else was said before."""
        if self.error is None or self.error.code() == KafkaError._FATAL:
            self.error = error

    def _poll_all(self) -> None:
        while not self._stopped:
            try:
                self._producer.poll(POLL_SECONDS)
            except KafkaException as failure:  # of the producer as a whole
                with self._changed:
                    self._note(failure.args[0])
                    self._changed.notify_all()
