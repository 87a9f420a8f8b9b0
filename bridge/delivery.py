"""One way to Kafka in one order: what librdkafka holds, then what the spool holds, then what comes next."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence

from lockstream.bridge.errors import SpoolUnwritable
from lockstream.bridge.outbox import Item, Outbox, Producer, Record
from lockstream.bridge.spool import Spool

AT_ONCE = 4 << 20  # bytes read back from the spool before looking at anything else
MARGIN = 1 << 20  # bytes: frames and headers around the records
FOR_EVER = float("inf")
OTHER = -1  # in the place of a step's number: a message of another kind


class Delivery:
    """Brings items to Kafka, through the spool where that is asked for; used by one thread.

    Parameters
    ----------
    start_producer
        Makes an idempotent producer.
    topic
        Where to.
    spool
        What it holds already is delivered first.
    buffer_bytes
        Bound on what Kafka has not acknowledged; what comes from the spool may exceed it by one item.
    changed
        Notified whenever something changes.

    Notes
    -----
    A file of the spool goes when everything in it is acknowledged. An item that Kafka does not take, or has
    not acknowledged when it is evacuated, returns to the spool, before all later ones.
    """

    def __init__(
        self,
        start_producer: Callable[[], Producer],
        topic: str,
        spool: Spool,
        buffer_bytes: int,
        changed: threading.Condition,
    ) -> None:
        self.spool, self._buffer_bytes, self._changed = spool, buffer_bytes, changed
        self.refusal = ""
        """Why Kafka will not take anything any more."""
        self.acknowledged = self.spilled = 0
        """Steps that Kafka has stored, and steps that went through the spool."""
        self.lost: list[int] = []
        """Numbers of the steps that are gone; -1 for another message."""
        self.is_open = True
        """Whether the topic is known to be there."""
        self.recoveries: list[str] = []
        """What Kafka said when it had lost track of the producer, for whoever tells people."""
        self._seq = spool.last_seq
        self._spooled: dict[int, int] = {}  # steps of this attempt that only the spool has, by seq
        self._outbox = Outbox(start_producer, topic, self._count_acknowledged, changed)

    @property
    def spooled(self) -> int:
        """Steps of this attempt that are in the spool and not acknowledged."""
        with self._changed:
            return len(self._spooled)

    @property
    def outstanding(self) -> int:
        """Bytes that librdkafka holds."""
        return self._outbox.nbytes

    @property
    def has_backlog(self) -> bool:
        """Whether the spool holds what librdkafka was not given yet."""
        return self.spool.next_item() is not None

    @property
    def takes_live(self) -> bool:
        """Whether an item could go to librdkafka next without overtaking another."""
        return self.is_open and not self.refusal and not self.has_backlog

    @property
    def is_done(self) -> bool:
        """Whether everything is acknowledged."""
        return not self.has_backlog and self._outbox.oldest is None

    @property
    def is_safe(self) -> bool:
        """Whether everything is acknowledged or in the spool."""
        return self._outbox.is_safe and not self.lost

    def send(self, records: Sequence[Record], nbytes: int, step: int = -1) -> None:
        """Hand an item to librdkafka."""
        self._seq += 1
        self._outbox.send(self._seq, records, nbytes, step=step)

    def put_aside(self, records: Sequence[Record], step: int = -1) -> None:
        """Append an item to the spool.

        Raises
        ------
        SpoolUnwritable
            Nothing was written then.
        """
        self.spool.append(self._seq + 1, records)
        self._seq += 1
        if step >= 0:
            with self._changed:
                self._spooled[self._seq] = step
            self.spilled += 1

    def wait(self, condition: Callable[[], object], deadline: Callable[[], float]) -> bool:
        """Work until a condition holds; False if it does not at the deadline, a time on the monotonic clock."""
        while True:
            self.work()
            with self._changed:
                if condition():
                    return True
                if (left := deadline() - time.monotonic()) <= 0 or self.refusal:
                    return False
                self._changed.wait_for(lambda: condition() or self.has_work, min(left, 0.25))

    def has_room(self, nbytes: int) -> bool:
        """Whether an item may go to librdkafka now."""
        return self.takes_live and self._outbox.nbytes + nbytes <= self._buffer_bytes

    @property
    def has_work(self) -> bool:
        """Whether `work` has something to do."""
        return self._outbox.error is not None or self._can_drain()

    def work(self) -> None:
        """Send some of what the spool holds, remove what is delivered, and see to what Kafka has refused."""
        if (error := self._outbox.error) is not None:
            if self._outbox.is_refused:
                self.refusal = f"Kafka refused it: {error.str()}"
                self.evacuate()
            else:
                self.recoveries.append(error.str())
                self._outbox.send_again()
        sent = 0
        while sent < AT_ONCE and self._can_drain() and (item := self.spool.next_item()) is not None:
            seq, records = item[0], [Record(*record[1:]) for record in item[1]]
            nbytes = sum(len(record.value) for record in records)
            self._outbox.send(seq, records, nbytes, step=self._spooled.get(seq, -1), is_spooled=True)
            sent += nbytes
        if self.spool.items:
            oldest = self._outbox.oldest
            self.spool.delivered(min(self.spool.cursor, self.spool.cursor if oldest is None else oldest) - 1)

    def evacuate(self) -> None:
        """Put into the spool what librdkafka holds; what cannot be written there is lost."""
        items = self._outbox.take_back()
        for seq, item in items.items():
            if item.is_spooled:
                continue
            try:
                self.spool.insert(seq, [item.returned[number] for number in sorted(item.returned)])
            except SpoolUnwritable as error:
                self.lost.append(item.step)
                self.refusal = self.refusal or str(error)
                continue
            if item.step >= 0:
                with self._changed:
                    self._spooled[seq] = item.step
                self.spilled += 1
        if items:
            self.spool.rewind(min(items))

    def give_up_spooled(self) -> None:
        """The disk has failed: nobody can know what it holds of this attempt."""
        with self._changed:
            self.lost += self._spooled.values()

    @property
    def can_evacuate(self) -> bool:
        """Whether the spool and its disk have room for what librdkafka holds."""
        wanted = self._outbox.nbytes + MARGIN
        is_within = self.spool.used_bytes + wanted <= self.spool.limit_bytes
        return is_within and shutil.disk_usage(self.spool.folder).free > wanted

    def stop(self) -> None:
        """End it; what librdkafka holds is given up."""
        self._outbox.stop()

    def _can_drain(self) -> bool:
        is_free = self._outbox.nbytes < self._buffer_bytes
        return self.is_open and not self.refusal and is_free and self.has_backlog

    def _count_acknowledged(self, item: Item) -> None:
        if item.step >= 0:
            self.acknowledged += 1
            if item.is_spooled:
                self._spooled.pop(item.seq, None)
