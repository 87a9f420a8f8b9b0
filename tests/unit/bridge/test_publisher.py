"""The publisher, with producers that do what the test says: what it sends, spools, drops, and calls safe."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException
from support.producer import FakeProducer
from support.rig import FIELDS, RECORDS, RUN, SLOTS, STEP_BYTES, Rig, full, numbers, silent, spooled
from support.runs import FakeRun
from support.waiting import wait_until

from lockstream.bridge.errors import SpoolUnwritable
from lockstream.bridge.link_messages import Closed, Failed, Freed, Note, StopWanted, Synced
from lockstream.bridge.messages import Gap, Manifest, RunEnded, RunStarted, Steered, Tile
from lockstream.bridge.wire import elements

Make = Callable[..., Rig]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    rigs: list[Rig] = []

    def make(*producers: FakeProducer, run: FakeRun = RUN, **settings: Any) -> Rig:
        rigs.append(Rig(tmp_path, run, list(producers), **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.end()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lockstream-")]


def refuse(*_: object) -> None:
    raise SpoolUnwritable("the disk is gone")


@pytest.mark.parametrize("partitions", [1, 3])
def test_what_is_sent_is_what_the_wire_format_says(make: Make, partitions: int) -> None:
    run = FakeRun(fields=FIELDS, tile_bytes=4096, partitions=partitions)
    rig = make(run=run)
    rig.publish(*range(5))
    assert rig.close(*range(5)) == Closed()
    for partition, log in enumerate(run.logs(range(5))):
        assert [(s.headers, s.value) for s in rig.fake.sent if s.partition == partition] == log
    assert {sent.topic for sent in rig.fake.sent} == {"the-topic"}
    assert (rig.counts["acknowledged"], rig.counts["outstanding"], rig.counts["spilled"]) == (5, 0, 0)


def test_a_slot_may_be_used_again_when_it_is_freed(make: Make) -> None:
    rig = make()
    rig.publish(*range(50))
    rig.close(*range(50))
    for sent in rig.fake.sent:
        if isinstance(tile := sent.message, Tile):
            region = tuple(slice(o, o + e) for o, e in zip(tile.offset, tile.extent, strict=True))
            expected = np.ascontiguousarray(RUN.array(tile.field, tile.step)[region])
            assert elements(tile).tobytes() == expected.tobytes()


def test_a_step_is_acknowledged_when_every_record_of_it_is(make: Make) -> None:
    rig = make(silent())
    full(rig, rig.fake, 7)
    rig.fake.deliver(1 + RECORDS - 1)  # run-started, and all of the step but its manifest
    rig.publisher.sync(0.0)
    assert rig.hear(Synced).is_safe
    wait_until(lambda: rig.counts["spilled"] == 1)
    assert rig.counts["acknowledged"] == 0
    assert [type(message) for message in spooled(rig)] == [Manifest]


def test_a_full_queue_is_tried_again_in_order(make: Make) -> None:
    rig = make(FakeProducer(full=20))
    rig.publish(0)
    rig.close(0)
    kinds = [type(sent.message) for sent in rig.fake.sent]
    assert kinds == [RunStarted, *[Tile] * (RECORDS - 1), Manifest, RunEnded]


def test_what_is_not_acknowledged_is_bounded_and_the_rest_is_spilled_in_order(make: Make) -> None:
    fake = silent()
    rig = make(fake, buffer_bytes=2 * STEP_BYTES + 2048)
    full(rig, fake, 0, 1)
    rig.publish(2, 3, 4)
    rig.hear(Freed, 5)
    assert len(fake.sent) <= 1 + 3 * RECORDS, "what comes back from the spool may be one item more"
    assert rig.counts["acknowledged"] == 0
    assert len(rig.heard(Note)) == 1, "an outage is told once"
    fake.delivers = True
    rig.publish(5)
    assert rig.close(*range(6)) == Closed()
    assert numbers(rig.delivered) == list(range(6))
    assert rig.counts["spilled"] >= 3
    assert (rig.counts["spooled"], rig.spool.items) == (0, 0)


def test_after_an_outage_steps_go_past_the_spool_again(make: Make) -> None:
    fake = silent()
    rig = make(fake, buffer_bytes=STEP_BYTES + 2048)
    full(rig, fake, 0)
    rig.publish(1)
    rig.hear(Freed, 2)
    fake.delivers = True
    wait_until(lambda: rig.counts.get("acknowledged") == 2)
    wait_until(lambda: rig.spool.next_item() is None)
    rig.publish(2)
    rig.hear(Freed, 3)
    rig.close(0, 1, 2)
    assert rig.counts["spilled"] == 1
    assert [note.text for note in rig.heard(Note)][-1] == "Kafka takes steps again"


def test_dropped_steps_are_gaps_in_their_place(make: Make) -> None:
    fake = silent()
    rig = make(fake, policy="drop", buffer_bytes=2 * STEP_BYTES + 4096)
    full(rig, fake, 0, 1)
    rig.publish(2, 3)
    rig.hear(Freed, 4)
    fake.delivers = True
    wait_until(lambda: rig.counts.get("outstanding") == 0)
    rig.publish(4)
    assert rig.close(*range(5)) == Closed()
    said = [(type(m), m.step) for m in rig.delivered if isinstance(m, Manifest | Gap)]
    assert said == [(Manifest, 0), (Manifest, 1), (Gap, 2), (Gap, 3), (Manifest, 4)]
    assert (rig.counts["dropped"], rig.counts["acknowledged"]) == (2, 3)
    assert rig.spool.items == 0


def test_stop_asks_for_it_and_loses_nothing(make: Make) -> None:
    fake = silent()
    rig = make(fake, policy="stop", buffer_bytes=STEP_BYTES + 2048)
    full(rig, fake, 0)
    rig.publish(1)
    word = rig.hear(StopWanted)
    assert ("policy = 'stop'" in word.reason, word.is_final) == (True, False)
    rig.publish(2)
    closed = rig.close(0, 1, 2, timeout=0.2, status="stopped")
    assert closed.items == 5  # run-started, three steps, run-ended
    assert numbers(spooled(rig)) == [0, 1, 2]


def test_a_spool_that_is_full_asks_for_a_stop_and_keeps_what_was_accepted(make: Make) -> None:
    fake = silent()
    buffer = STEP_BYTES + 2048
    rig = make(fake, buffer_bytes=buffer, spool_bytes=buffer + (SLOTS + 1) * STEP_BYTES + 9000)
    full(rig, fake, 0)
    step = 0
    while not rig.heard(StopWanted):
        step += 1
        assert step < 100
        rig.publish(step)
        rig.hear(Freed, step + 1)
    assert "stream.spool_bytes" in rig.hear(StopWanted).reason
    rig.fake.delivers = True
    assert rig.close(*range(step + 1)) == Closed()
    assert numbers(rig.delivered) == list(range(step + 1))


def test_sync_waits_for_nothing_when_all_is_acknowledged(make: Make) -> None:
    rig = make()
    rig.publish(0, 1)
    rig.publisher.sync(10.0)
    assert rig.hear(Synced) == Synced(is_safe=True)
    assert numbers(rig.delivered) == [0, 1]
    assert rig.counts["spilled"] == 0


def test_sync_brings_to_the_disk_what_kafka_has_not_acknowledged(make: Make) -> None:
    rig = make(silent(), silent())
    full(rig, rig.fake, 0, 1)
    rig.publisher.sync(0.0)
    assert rig.hear(Synced).is_safe
    assert len(rig.made) == 2
    rig.publish(2)
    rig.fake.delivers = True
    assert rig.close(0, 1, 2) == Closed()
    assert numbers(rig.delivered) == [0, 1, 2]


def test_sync_without_room_says_so_and_gives_nothing_up(make: Make) -> None:
    buffer = 2 * STEP_BYTES + 2048
    rig = make(silent(), buffer_bytes=buffer, spool_bytes=buffer + (SLOTS + 2) * STEP_BYTES)
    full(rig, rig.fake, 0, 1)
    rig.publisher.sync(0.0)
    synced = rig.hear(Synced)
    assert (synced.is_safe, "no room" in synced.text) == (False, True)
    rig.fake.delivers = True
    rig.publisher.sync(10.0)
    assert rig.hear(Synced, 2).is_safe
    assert len(rig.made) == 1


def test_close_spools_what_is_left_and_the_next_attempt_delivers_it_first(make: Make) -> None:
    rig = make(silent(), silent())
    full(rig, rig.fake, 0, 1)
    closed = rig.close(0, 1, timeout=0.1, status="stopped")
    assert (closed.lost, closed.items, closed.spool) == ((), 4, str(rig.spool.folder))
    rig.end()
    later = make(run=FakeRun(fields=FIELDS, tile_bytes=4096, attempt=1, after_step=1))
    later.publish(2)
    assert later.close(2) == Closed()
    assert [(m.attempt, m.step) for m in later.delivered if isinstance(m, Manifest)] == [
        (0, 0),
        (0, 1),
        (1, 2),
    ]
    assert later.counts["acknowledged"] == 1, "steps of the older attempt are not this one's"


def test_a_rank_0_that_is_gone_leaves_its_steps_delivered_and_no_end(make: Make) -> None:
    rig = make()
    rig.publish(0, 1)
    rig.publisher.close(None, 10)
    assert rig.hear(Closed) == Closed()
    assert numbers(rig.delivered) == [0, 1]
    assert not any(isinstance(message, RunEnded) for message in rig.delivered)


@pytest.mark.parametrize("record", range(RECORDS))
def test_what_kafka_refuses_for_good_is_kept_and_stops_the_run(make: Make, record: int) -> None:
    rig = make(silent(), silent())
    full(rig, rig.fake, 7)
    rig.fake.deliver(1 + record)
    rig.fake.deliver(1, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    word = rig.hear(StopWanted)
    assert ("Kafka refused it" in word.reason, word.is_final) == (True, True)
    rig.publish(8)
    closed = rig.close(7, 8, status="stopped")
    assert "Kafka refused it" in closed.reason
    assert closed.lost == ()
    assert numbers(spooled(rig)) == [7, 8]
    assert sum(isinstance(m, Tile) and m.step == 7 for m in spooled(rig)) == RECORDS - 1 - record


def test_a_record_that_librdkafka_itself_refuses_is_kept_too(make: Make) -> None:
    too_large = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    rig = make(FakeProducer(delivers=False, fails=too_large, fails_at=3), silent())
    rig.publish(0)
    rig.hear(StopWanted)
    rig.close(0, status="stopped")
    assert numbers(spooled(rig)) == [0]


def test_a_producer_that_kafka_has_lost_track_of_is_replaced(make: Make) -> None:
    rig = make(silent(), FakeProducer())
    full(rig, rig.fake, 0, 1)
    rig.fake.deliver(1 + RECORDS)
    rig.fake.deliver(1, KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True))
    rig.publish(2)
    assert rig.close(0, 1, 2) == Closed()
    assert len(rig.made) == 2
    assert numbers(rig.delivered) == [0, 1, 2]
    assert not rig.heard(StopWanted)
    assert any("lost track" in note.text for note in rig.heard(Note))


def test_a_run_begun_without_kafka_is_spooled_until_it_is_there(make: Make) -> None:
    rig = make(is_open=False)
    rig.publish(0, 1, 2)
    rig.hear(Freed, 3)
    assert rig.fake.sent == []
    rig.publisher.open_log()
    assert rig.close(0, 1, 2) == Closed()
    assert [type(message) for message in (rig.delivered[0], rig.delivered[-1])] == [RunStarted, RunEnded]
    assert numbers(rig.delivered) == [0, 1, 2]


def test_a_topic_that_will_never_be_there_stops_the_run(make: Make) -> None:
    rig = make(is_open=False)
    rig.publish(0)
    rig.publisher.refuse("topic authorisation failed")
    assert rig.hear(StopWanted).reason == "topic authorisation failed"
    closed = rig.close(0, status="stopped")
    assert (closed.reason, closed.items) == ("topic authorisation failed", 3)


def test_what_neither_kafka_nor_the_disk_takes_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make(silent(), silent(), buffer_bytes=STEP_BYTES + 2048)
    full(rig, rig.fake, 0)
    monkeypatch.setattr(rig.spool, "append", refuse)
    monkeypatch.setattr(rig.spool, "insert", refuse)
    rig.publish(1)
    assert rig.hear(StopWanted).reason == "the disk is gone"
    rig.publisher.close(None, 0.1)
    assert set(rig.hear(Closed).lost) == {-1, 0, 1}, "run-started too"
    assert not rig.heard(Failed)


def test_a_replaced_producer_needs_no_disk(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make(silent(), FakeProducer())
    full(rig, rig.fake, 0, 1)
    for name in ("append", "insert"):
        monkeypatch.setattr(rig.spool, name, refuse)
    rig.fake.deliver(1 + RECORDS + 2)
    rig.fake.fail(KafkaError(KafkaError.UNKNOWN_PRODUCER_ID, fatal=True))
    rig.publish(2)
    assert rig.close(0, 1, 2) == Closed()
    assert numbers(rig.delivered) == [0, 1, 2]
    assert len(rig.delivered) == 1 + 3 * RECORDS + 1, "only what was not acknowledged is sent again"
    assert (len(rig.made), rig.counts["spilled"]) == (2, 0)


def test_an_end_that_cannot_be_written_is_named_and_loses_nothing_else(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make(is_open=False)
    rig.publish(0)
    rig.hear(Freed)
    monkeypatch.setattr(rig.spool, "append", refuse)
    closed = rig.close(0, timeout=0.1)
    assert (closed.lost, closed.items) == ((-1,), 2)
    assert numbers(spooled(rig)) == [0]


def test_a_message_that_cannot_be_written_waits_for_kafka(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make(is_open=False)
    rig.publish(0)
    rig.hear(Freed)
    monkeypatch.setattr(rig.spool, "append", refuse)
    said = {"id": "ab" * 16, "command": "checkpoint", "who": "a@b", "sent": "2026-01-01T00:00:00Z", "step": 0}
    rig.publisher.say(Steered(run=RUN.run, attempt=0, **said))
    assert rig.hear(StopWanted).reason == "the disk is gone"
    rig.publisher.open_log()
    assert rig.close(0) == Closed()
    kinds = [type(message) for message in rig.delivered if not isinstance(message, Tile)]
    assert kinds == [RunStarted, Manifest, Steered, RunEnded]


def test_a_disk_that_fails_at_the_end_is_told_as_loss(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed fdatasync(2) nobody knows what is on it."""
    rig = make(silent(), silent())
    full(rig, rig.fake, 0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(rig.spool, "sync", refuse)
        closed = rig.close(0, 1, timeout=0.1)
    assert (set(closed.lost), closed.reason) == ({0, 1}, "the disk is gone")


@pytest.mark.parametrize("policy", ["spill", "drop", "stop"])
def test_the_time_of_an_outage_is_paid_once(make: Make, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    fake = silent()
    rig = make(fake, policy=policy, buffer_bytes=STEP_BYTES + 4096, max_stall=0.2)
    paid: list[float] = []
    wait = rig.publisher._wait_for_room
    monkeypatch.setattr(
        rig.publisher, "_wait_for_room", lambda patience: paid.append(patience) or wait(patience)
    )  # type: ignore[func-returns-value]
    full(rig, fake, 0)
    rig.publish(1, 2, 3)
    rig.hear(Freed, 4)
    assert paid[:2] == [0.1, 0.1]
    assert set(paid[2:]) <= {0.0}
    fake.answer(True)
    wait_until(lambda: rig.counts.get("outstanding") == 0 and rig.spool.next_item() is None)
    rig.publish(4)
    rig.hear(Freed, 5)
    fake.answer(False)
    del paid[:]
    rig.publish(5, 6)
    rig.hear(Freed, 7)
    assert 0.1 in paid, "the next outage has a time of its own"
    fake.answer(True)
    rig.close(*range(7))


def test_a_fault_of_the_publisher_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make()
    rig.publish(0)
    rig.hear(Freed)
    monkeypatch.setattr(rig.publisher, "_records", lambda *_: 1 / 0)
    rig.publish(1)
    assert "ZeroDivisionError" in rig.hear(Failed).text
