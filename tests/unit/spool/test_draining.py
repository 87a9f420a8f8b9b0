"""Delivering a spool: in order, within a window, and deleting only what is acknowledged."""

from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import KafkaException
from support.producer import FakeProducer
from support.spools import expected, item, opened

from lockstream.bridge.draining import Drain
from lockstream.bridge.errors import DeliveryFailed, SpoolDamaged
from lockstream.bridge.spool_delivery import pump_dry
from lockstream.bridge.spool_format import DATA_OFFSET, SpoolRecord, item_size

EACH = item_size(item(0))


def sent(producer: FakeProducer) -> list[tuple[int, object, bytes]]:
    return [(each.partition, each.headers, each.value) for each in producer.sent]


def values(records: list[SpoolRecord]) -> list[tuple[int, object, bytes]]:
    return [(record.partition, record.headers, record.value) for record in records]


def test_everything_in_order_and_then_nothing_is_left(tmp_path: Path) -> None:
    producer = FakeProducer(full=3)
    with opened(tmp_path, roll_bytes=DATA_OFFSET + 2 * EACH) as spool:
        for seq in range(9):
            spool.append(seq, item(seq))
        drain = Drain(spool, producer, "topic", window_bytes=70)
        while drain.pump(1):
            pass
        assert sent(producer) == values(expected(range(9)))
        assert (drain.items, drain.records, spool.items, spool.last_seq) == (9, 18, 0, 8)
        assert list(tmp_path.glob("*.items")) == []
        spool.append(9, item(9))
        while drain.pump(1):
            pass
        assert sent(producer) == values(expected(range(10)))


def test_the_window_bounds_what_is_on_its_way(tmp_path: Path) -> None:
    producer = FakeProducer(delivers=False)
    with opened(tmp_path) as spool:
        for seq in range(9):
            spool.append(seq, item(seq))
        size = len(item(0)[0][2])
        drain = Drain(spool, producer, "topic", window_bytes=3 * size)
        assert drain.pump(0)
        assert drain.pump(0)
        assert len(producer.sent) == 3
        producer.deliver(2)
        assert drain.pump(0)
        assert (len(producer.sent), drain.items, drain.records) == (5, 1, 2)
        assert spool.items == 8


def test_only_whole_acknowledged_items_are_deleted(tmp_path: Path) -> None:
    producer = FakeProducer(delivers=False)
    with opened(tmp_path, roll_bytes=1) as spool:
        for seq in range(3):
            spool.append(seq, item(seq))
        drain = Drain(spool, producer, "topic")
        drain.pump(0)
        producer.deliver(3)
        drain.pump(0)
        assert sorted(int(p.stem) for p in tmp_path.glob("*.items")) == [1, 2]


def test_an_older_item_that_is_inserted_meanwhile_is_not_deleted_with_newer_ones(tmp_path: Path) -> None:
    producer = FakeProducer(delivers=False)
    with opened(tmp_path) as spool:
        spool.append(5, item(5))
        drain = Drain(spool, producer, "topic")
        drain.pump(0)
        spool.insert(2, item(2))
        producer.deliver()
        assert drain.pump(0)
        assert spool.items == 2
        producer.delivers = True
        while drain.pump(1):
            pass
        assert sent(producer)[2:4] == values(expected((2,)))
        assert spool.items == 0


def test_a_refused_record_is_an_error_and_nothing_is_lost(tmp_path: Path) -> None:
    producer = FakeProducer(delivers=False)
    with opened(tmp_path) as spool:
        spool.append(0, item(0))
        drain = Drain(spool, producer, "topic")
        drain.pump(0)
        producer.deliver(1)
        producer.deliver(1, KafkaException("refused"))
        with pytest.raises(DeliveryFailed, match=r"item 0.*refused"):
            drain.pump(0)
        spool.rewind(0)
        assert list(spool.read()) == expected((0,))


def test_damage_is_never_sent(tmp_path: Path) -> None:
    producer = FakeProducer()
    with opened(tmp_path) as spool:
        for seq in range(3):
            spool.append(seq, item(seq))
        path = next(tmp_path.glob("*.items"))
        raw = bytearray(path.read_bytes())
        raw[DATA_OFFSET + EACH + 70] ^= 1
        path.write_bytes(raw)
        drain = Drain(spool, producer, "topic")
        with pytest.raises(SpoolDamaged, match=path.name):
            drain.pump(1)
        assert sent(producer) == values(expected((0, 1)))[:3]  # up to the record that is not what it was


def test_kafka_that_goes_away_is_given_up_and_a_stop_is_heeded(tmp_path: Path) -> None:
    stop = Event()
    with opened(tmp_path) as spool:
        spool.append(0, item(0))
        with pytest.raises(DeliveryFailed, match=r"nothing for 0\.1 s; 0 items"):
            pump_dry(Drain(spool, FakeProducer(delivers=False), "topic"), 0.1, lambda _: None, stop)
        spool.rewind(0)
        stop.set()
        drain = Drain(spool, FakeProducer(delivers=False), "topic")
        pump_dry(drain, 60, lambda _: None, stop)
        assert (drain.items, spool.items) == (0, 1)
