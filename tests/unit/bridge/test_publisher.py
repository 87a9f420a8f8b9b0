"""The rank-0 publisher, with a producer that does what the test says: what it sends, and what it calls delivered."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException
from support.producer import FakeProducer
from support.runs import TWO_FIELDS, FakeRun

from lockstream.bridge.errors import DeliveryFailed
from lockstream.bridge.frames import Step
from lockstream.bridge.messages import Manifest, RunStarted, Tile
from lockstream.bridge.publisher import Publisher
from lockstream.bridge.wire import elements

RUN = FakeRun(fields=TWO_FIELDS)
STEP_BYTES = RUN.started.step_bytes
RECORDS = len(RUN.step(0))
Make = Callable[..., tuple[Publisher, FakeProducer]]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Publisher] = []

    def make(
        run: FakeRun = RUN, steps_in_buffer: int = 100, **producer: Any
    ) -> tuple[Publisher, FakeProducer]:
        fake = FakeProducer(**producer)
        publisher = Publisher(fake, "the-topic", run.started, steps_in_buffer * STEP_BYTES)
        made.append(publisher)
        return publisher, fake

    yield make
    for publisher in made:
        publisher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lockstream-")]


def publish(publisher: Publisher, step: int, run: FakeRun = RUN) -> None:
    frame = publisher.acquire()
    for name, array in frame.items():
        array[...] = run.array(name, step)
    publisher.submit(Step(step, step / 3, {"mass": step * 0.1, "lost": None if step % 2 else 1.0}), frame)


def in_background(action: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("partitions", [1, 3])
def test_what_is_sent_is_what_the_wire_format_says(make: Make, partitions: int) -> None:
    run = FakeRun(fields=TWO_FIELDS, partitions=partitions)
    publisher, fake = make(run)
    publisher.send_now(run.started)
    for step in range(5):
        publish(publisher, step)
    assert publisher.finish(10) == []
    publisher.send_now(run.ended(range(5)))
    assert publisher.finish(10) == []
    for partition, log in enumerate(run.logs(range(5))):
        assert [(s.headers, s.value) for s in fake.sent if s.partition == partition] == log
    assert {sent.topic for sent in fake.sent} == {"the-topic"}
    assert publisher.progress == (5, 5, 0)


def test_a_frame_may_be_used_again_at_once(make: Make) -> None:
    publisher, fake = make()
    for step in range(50):
        publish(publisher, step)
    assert publisher.finish(10) == []
    for sent in fake.sent:
        if isinstance(tile := sent.message, Tile):
            region = tuple(slice(o, o + e) for o, e in zip(tile.offset, tile.extent, strict=True))
            expected = np.ascontiguousarray(RUN.array(tile.field, tile.step)[region])
            assert elements(tile).tobytes() == expected.tobytes()


def test_a_step_is_acknowledged_when_every_record_of_it_is(make: Make) -> None:
    publisher, fake = make(delivers=False)
    publish(publisher, 7)
    fake.wait_for(RECORDS)
    for _ in range(RECORDS):
        assert publisher.progress == (1, 0, STEP_BYTES)
        assert publisher.finish(0.01) == [7]
        fake.deliver(1)
    assert publisher.progress == (1, 1, 0)
    assert publisher.finish(10) == []


def test_acknowledgements_may_come_in_any_order(make: Make) -> None:
    publisher, fake = make(delivers=False)
    publish(publisher, 0)
    publish(publisher, 1)
    fake.wait_for(2 * RECORDS)
    for sent in fake.sent[RECORDS:]:
        sent.report(None, None)
    assert publisher.finish(0.01) == [0]
    for sent in reversed(fake.sent[:RECORDS]):
        sent.report(None, None)
    assert publisher.finish(10) == []


def test_the_first_and_the_last_message_count_too(make: Make) -> None:
    run = FakeRun(fields=TWO_FIELDS, partitions=2)
    publisher, fake = make(run, delivers=False)
    publisher.send_now(run.started)
    fake.deliver(1)
    assert publisher.finish(0.01) == [-1]
    fake.deliver(1)
    assert publisher.finish(10) == []


@pytest.mark.parametrize("record", range(RECORDS))
def test_one_failed_record_fails_the_run(make: Make, record: int) -> None:
    publisher, fake = make(delivers=False)
    publish(publisher, 7)
    fake.wait_for(RECORDS)
    fake.deliver(record)
    fake.deliver(1, KafkaError(KafkaError._MSG_TIMED_OUT))
    fake.deliver()
    for use in (publisher.acquire, lambda: publisher.finish(10)):
        with pytest.raises(DeliveryFailed, match="step 7 was not delivered"):
            use()
    assert publisher.progress.acknowledged == 0


def test_a_failure_ends_the_waiting(make: Make) -> None:
    publisher, fake = make(steps_in_buffer=1, delivers=False)
    publish(publisher, 0)
    fake.wait_for(RECORDS)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            publisher.acquire()
        except DeliveryFailed as error:
            raised.append(error)

    waiting = in_background(wait)
    fake.deliver(1, "broker gone")
    waiting.join(10)
    assert [type(error) for error in raised] == [DeliveryFailed]


def test_a_refusing_producer_fails_the_run(make: Make) -> None:
    too_large = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    publisher, _ = make(fails=too_large, fails_at=2)
    publish(publisher, 0)
    with pytest.raises(DeliveryFailed) as failed:
        publisher.finish(10)
    assert failed.value.__cause__ is too_large


def test_a_full_queue_is_tried_again_in_order(make: Make) -> None:
    publisher, fake = make(full=20)
    publisher.send_now(RUN.started)
    publish(publisher, 0)
    assert publisher.finish(10) == []
    kinds = [type(sent.message) for sent in fake.sent]
    assert kinds == [RunStarted, *[Tile] * (RECORDS - 1), Manifest]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_is_not_acknowledged_is_bounded(make: Make, steps: int) -> None:
    publisher, fake = make(steps_in_buffer=steps, delivers=False)
    for step in range(steps):
        publish(publisher, step)
    fake.wait_for(steps * RECORDS)
    waiting = in_background(lambda: publish(publisher, steps))
    waiting.join(0.1)
    assert waiting.is_alive()
    assert publisher.progress == (steps, 0, steps * STEP_BYTES)
    fake.deliver(RECORDS - 1)
    waiting.join(0.05)
    assert waiting.is_alive()
    fake.deliver(1)
    waiting.join(10)
    assert not waiting.is_alive()
    assert publisher.progress == (steps + 1, 1, steps * STEP_BYTES)


def test_a_frame_that_is_given_back_can_be_borrowed_again(make: Make) -> None:
    publisher, _ = make()
    for _ in range(5):
        publisher.give_back(publisher.acquire())
    for name in ("u", "x", "total mass", "step"):
        frame = publisher.acquire()
        with pytest.raises(ValueError, match=name):
            publisher.submit(Step(0, 0.0, {name: 1.0}), frame)
        publisher.give_back(frame)
    assert publisher.progress == (0, 0, 0)


def test_stopping_sends_nothing_more(make: Make) -> None:
    publisher, fake = make(delivers=False, full=10**9)
    publish(publisher, 0)
    assert publisher.finish(0.05) == [0]
    publisher.stop()
    assert fake.sent == []
