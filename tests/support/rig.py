"""A publisher with producers that do what the test says, and everything that it tells."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockstream.bridge.frames import Arrays, Step, empty_frame
from lockstream.bridge.link_messages import Closed, Freed, FromPublisher
from lockstream.bridge.messages import Field, Manifest
from lockstream.bridge.outbox import Producer
from lockstream.bridge.publisher import Publisher
from lockstream.bridge.settings import StreamSettings
from lockstream.bridge.spool import Spool
from lockstream.bridge.spool_folder import SpoolAbout
from lockstream.bridge.wire import decode
from support.producer import FakeProducer
from support.runs import TWO_FIELDS, FakeRun

FIELDS = (Field("u", (64, 64)), TWO_FIELDS[1])  # a step is larger than what other messages count
RUN = FakeRun(fields=FIELDS, tile_bytes=4096)
STEP_BYTES = RUN.started.step_bytes
RECORDS = len(RUN.step(0))
SLOTS = 3


class Rig:
    """A publisher, the producers that it makes one after the other, and what it tells."""

    def __init__(self, folder: Path, run: FakeRun, producers: list[FakeProducer], **settings: Any) -> None:
        given = {"buffer_bytes": 100 * STEP_BYTES, "max_stall": 0.1, "spool_bytes": 1 << 24} | settings
        is_open = given.pop("is_open", True)
        self.run, self.settings = run, StreamSettings(**given)
        self.spare, self.made = list(producers), []
        self.frames: list[Arrays] = [empty_frame(run.started) for _ in range(SLOTS)]
        self.told: list[FromPublisher] = []
        self.counts: dict[str, int] = {}
        self._heard = threading.Condition()
        about = SpoolAbout(run=run.run, topic=f"lockstream.run.{run.run}", partitions=run.partitions)
        self.spool = Spool(folder / run.run, self.settings.spool_bytes, about)
        self.publisher = Publisher(
            self._start_producer,
            "the-topic",
            run.started,
            self.settings,
            self.spool,
            self.frames,
            self._tell,
            self,
            is_open=is_open,
        )
        self._free, self._is_over = list(range(SLOTS)), False

    @property
    def fake(self) -> FakeProducer:
        """The producer in use."""
        return self.made[-1]

    @property
    def delivered(self) -> list[Any]:
        """Messages that Kafka has, in their order, of all producers."""
        return [sent.message for fake in self.made for sent in fake.delivered]

    def count(self, **values: int) -> None:
        self.counts |= values

    def publish(self, *steps: int) -> None:
        for step in steps:
            slot = self._slot()
            for name, array in self.frames[slot].items():
                array[...] = self.run.array(name, step)
            said = {"mass": step * 0.1, "lost": None if step % 2 else 1.0}
            self.publisher.submit(slot, Step(step, step / 3, said))

    @property
    def has_slot(self) -> bool:
        """Whether a step can be published at once."""
        return bool(self._free)

    def hear_until(self, condition: Callable[[], object]) -> None:
        """Wait until what the publisher has said makes a condition true."""
        with self._heard:
            assert self._heard.wait_for(condition, 10), self.told

    def hear(self, kind: type[Any], count: int = 1) -> Any:
        """Wait until the publisher has said something so often; return the last."""
        self.hear_until(lambda: len(self.heard(kind)) >= count)
        return self.heard(kind)[-1]

    def heard(self, kind: type[Any]) -> list[Any]:
        return [word for word in self.told if isinstance(word, kind)]

    def close(self, *steps: int, timeout: float = 10, status: Any = "completed") -> Closed:
        self.publisher.close(self.run.ended(steps, status), timeout)
        closed: Closed = self.hear(Closed)
        return closed

    def end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self.publisher.stop()
            self.spool.close()

    def _start_producer(self) -> Producer:
        self.made.append(self.spare.pop(0) if self.spare else FakeProducer())
        return self.made[-1]

    def _tell(self, word: FromPublisher) -> None:
        with self._heard:
            self.told.append(word)
            if isinstance(word, Freed):
                self._free.append(word.slot)
            self._heard.notify_all()

    def _slot(self) -> int:
        with self._heard:
            assert self._heard.wait_for(lambda: self._free, 10), self.told
            return self._free.pop(0)


def full(rig: Rig, fake: FakeProducer, *steps: int) -> None:
    """Publish steps that Kafka does not acknowledge, until they are with the producer."""
    before = len(fake.sent)
    rig.publish(*steps)
    fake.wait_for(before + RECORDS * len(steps))


def silent() -> FakeProducer:
    return FakeProducer(delivers=False)


def spooled(rig: Rig) -> list[Any]:
    """Messages that the spool has, once the publisher has ended."""
    rig.end()
    with Spool(rig.spool.folder, 1 << 24) as spool:
        return [decode(record.headers, record.value) for record in spool.read()]


def numbers(messages: list[Any]) -> list[int]:
    """The steps that are whole, in their order."""
    return [message.step for message in messages if isinstance(message, Manifest)]
