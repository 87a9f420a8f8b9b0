"""`open_stream` on one rank, with a producer that does what the test says."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError
from mpi4py import MPI
from support.producer import FakeProducer
from support.threaded import FakeProcess, serve_in_thread
from support.waiting import wait_until

from lockstream.bridge import Block, Field, Stream, StreamSettings, open_stream
from lockstream.bridge.errors import (
    ConfigurationError,
    DeliveryFailed,
    LeftInSpool,
    StreamClosed,
    StreamStopped,
    UserError,
)
from lockstream.bridge.gather import BlockMismatch
from lockstream.bridge.messages import Manifest, RunEnded, RunStarted
from lockstream.bridge.spool import Spool
from lockstream.bridge.wire import decode

U = Field("u", (6, 5))
BLOCK = {"u": Block(np.ones((6, 5), "f4"), (0, 0))}


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()


@pytest.fixture(autouse=True)
def served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, producer: FakeProducer
) -> Iterator[list[FakeProcess]]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    served = serve_in_thread(monkeypatch, producer)
    yield served
    for process in served:
        process.wait(10)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lockstream-")]


def opened(fields: tuple[Field, ...] = (U,), **more: Any) -> Stream:
    return open_stream(MPI.COMM_SELF, run="a-run", fields=fields, kafka={}, **more)


def last(producer: FakeProducer) -> RunEnded:
    message = producer.sent[-1].message
    assert isinstance(message, RunEnded)
    return message


def test_a_whole_run(producer: FakeProducer) -> None:
    with opened(time_units="s", configuration={"k": 1}, attempt=3) as stream:
        for step in (0, 5, 6):
            stream.publish(step, time=step / 2, blocks=BLOCK, diagnostics={"mass": 1})
    started, *steps, ended = [sent.message for sent in producer.sent]
    assert isinstance(started, RunStarted)
    assert (started.run, started.attempt, started.time_units) == ("a-run", 3, "s")
    assert started.configuration == {"k": 1}
    assert {"python", "host", "numpy"} <= set(started.environment)
    assert [m.step for m in steps if isinstance(m, Manifest)] == [0, 5, 6]
    assert isinstance(ended, RunEnded)
    assert (ended.status, ended.steps, ended.last_step, ended.attempt) == ("completed", 3, 6, 3)


def test_the_summary_counts(producer: FakeProducer) -> None:
    stream = opened()
    stream.publish(0, time=0.0, blocks=BLOCK)
    summary = stream.close()
    assert summary is not None
    assert (summary.accepted, summary.acknowledged, summary.bytes) == (1, 1, 120)
    assert summary.publish_seconds >= summary.wait_seconds >= 0
    assert stream.close() is None
    with pytest.raises(StreamClosed):
        stream.publish(1, time=0.0, blocks=BLOCK)


def test_numpys_scalars_will_do(producer: FakeProducer) -> None:
    with opened() as stream:
        for step in np.arange(2):
            values = {"a": np.float32(0.5), "b": np.int64(2), "c": np.array(3.0), "d": np.nan, "e": -np.inf}
            stream.publish(step, time=np.float32(0.25), blocks=BLOCK, diagnostics=values)
    manifests = [m for sent in producer.sent if isinstance(m := sent.message, Manifest)]
    assert [(m.step, m.time) for m in manifests] == [(0, 0.25), (1, 0.25)]
    assert manifests[0].diagnostics == {"a": 0.5, "b": 2.0, "c": 3.0, "d": None, "e": None}


@pytest.mark.parametrize(
    ("step", "more", "error"),
    [
        (4, {}, ValueError),
        (3, {}, ValueError),
        (-1, {}, ValueError),
        (10**18, {}, ValueError),
        (5.0, {}, TypeError),
        (5, {"time": np.nan}, ValueError),
        (5, {"time": np.inf}, ValueError),
        (5, {"diagnostics": {"u": 1.0}}, ValueError),
        (5, {"diagnostics": {"x": 1.0}}, ValueError),
        (5, {"diagnostics": {"total mass": 1.0}}, ValueError),
        (5, {"diagnostics": {"step": 1.0}}, ValueError),
        (5, {"blocks": {}}, BlockMismatch),
        (5, {"blocks": {"u": Block(np.ones((5, 5), "f4"), (0, 0))}}, BlockMismatch),
    ],
)
def test_a_step_that_will_not_do_is_refused_and_the_next_one_goes(
    producer: FakeProducer, step: Any, more: Mapping[str, Any], error: type[Exception]
) -> None:
    with opened() as stream:
        stream.publish(4, time=0.0, blocks=BLOCK)
        for _ in range(4):
            with pytest.raises(error):
                stream.publish(step, **({"time": 1.0, "blocks": BLOCK} | more))
        stream.publish(6, time=2.0, blocks=BLOCK)
    assert [m.step for sent in producer.sent if isinstance(m := sent.message, Manifest)] == [4, 6]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"run": "../up"}, "run.id"),
        ({"run": "Upper"}, "a-z"),
        ({"run": ""}, "run.id"),
        ({"run": "a" * 65}, "run.id"),
        ({"fields": []}, "at least one"),
        ({"fields": [U, U]}, "distinct"),
        ({"fields": [U, Field("v", (7, 5))]}, "axis 'y'"),
        ({"fields": [Field("x", (3,))]}, "'x'"),
        ({"fields": [Field("u", (1 << 20,))], "settings": StreamSettings(tile_bytes=16)}, "make them larger"),
        ({"attempt": -1}, "attempt -1"),
        ({"configuration": {"a": np.float32(1)}}, "float32"),
        ({"configuration": {"a": "x" * (1 << 20)}}, "exceeds the limit"),
    ],
)
def test_what_cannot_be_published_is_the_users_mistake(
    producer: FakeProducer, more: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        open_stream(MPI.COMM_SELF, **({"run": "a-run", "fields": [U], "kafka": {}} | more))
    assert producer.sent == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"buffer_bytes": 119}, "one step has 120"), ({"spool_bytes": 1 << 20}, "room for")],
)
def test_bounds_that_are_too_small_are_refused_before_any_connection(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        opened(settings=StreamSettings(**settings))


@pytest.mark.parametrize("field", [{"shape": (0,)}, {"shape": (1,) * 5}, {"dtype": "O"}, {"name": "a b"}])
def test_a_field_is_checked_when_it_is_made(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="field"):
        Field(**({"name": "u", "shape": (3,)} | field))


def test_an_error_in_the_simulation_is_told_and_passes_through(producer: FakeProducer) -> None:
    with pytest.raises(ZeroDivisionError), opened() as stream:  # noqa: PT012
        stream.publish(0, time=0.0, blocks=BLOCK)
        raise ZeroDivisionError("in the solver")
    assert (last(producer).status, last(producer).reason) == ("failed", "ZeroDivisionError: in the solver")
    assert (last(producer).steps, last(producer).last_step) == (1, 0)


def test_close_says_where_the_steps_are_that_kafka_did_not_take(
    producer: FakeProducer, tmp_path: Path
) -> None:
    producer.delivers = False
    stream = opened(settings=StreamSettings(close_timeout=0.2))
    for step in (2, 4):
        stream.publish(step, time=0.0, blocks=BLOCK)
    with pytest.raises(
        LeftInSpool, match=r"of 2 steps Kafka has acknowledged 0; the others are safe in the spool"
    ):
        stream.close()
    with Spool(tmp_path / "lockstream" / "spool" / "a-run", 1 << 24) as spool:
        kept = [decode(record.headers, record.value) for record in spool.read()]
    assert [m.step for m in kept if isinstance(m, Manifest)] == [2, 4]
    assert isinstance(kept[-1], RunEnded)


def test_what_kafka_refuses_stops_the_simulation_in_good_order(producer: FakeProducer) -> None:
    stream = opened(settings=StreamSettings(close_timeout=0.2))
    producer.delivers = False
    stream.publish(0, time=0.0, blocks=BLOCK)
    producer.wait_for(3)
    producer.deliver(1)
    producer.deliver(1, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(StreamStopped, match="step 1 was not accepted: Kafka refused it"):  # noqa: PT012
        for step in range(1, 1000):
            wait_until(lambda: stream.progress is not None and stream.progress.outstanding == 0)
            stream.publish(step, time=0.0, blocks=BLOCK)
    summary = stream.close("stopped")
    assert summary is not None
    assert (summary.acknowledged, summary.spooled) == (0, summary.accepted)


def test_a_stop_leaves_a_with_block_as_stopped(producer: FakeProducer) -> None:
    with pytest.raises(StreamStopped), opened() as stream:  # noqa: PT012
        stream.publish(0, time=0.0, blocks=BLOCK)
        raise StreamStopped("enough")
    assert (last(producer).status, last(producer).reason) == ("stopped", "enough")


def test_sync(producer: FakeProducer) -> None:
    with opened() as stream:
        stream.publish(0, time=0.0, blocks=BLOCK)
        assert stream.sync(10.0)
        progress = stream.progress
    assert progress is not None
    assert (progress.accepted, progress.acknowledged, progress.outstanding) == (1, 1, 0)


def test_a_publisher_that_dies_is_named(producer: FakeProducer, served: list[FakeProcess]) -> None:
    stream = opened()
    stream.publish(0, time=0.0, blocks=BLOCK)
    assert stream.sync(10.0)
    served[0].hang_up()
    with pytest.raises(DeliveryFailed, match="has ended"):  # noqa: PT012
        for step in range(1, 1000):
            stream.publish(step, time=0.0, blocks=BLOCK)


def test_whoever_watches_is_told_what_publishing_consists_of() -> None:
    told: list[str] = []

    class Watched(nullcontext[None]):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def __enter__(self) -> None:
            told.append(self.name)

        def __exit__(self, *_: object) -> None:
            told.append(f"/{self.name}")

    with opened(watch=Watched) as stream:
        stream.publish(0, time=0, blocks=BLOCK)
        stream.publish(1, time=1, blocks=BLOCK)
    assert told == ["stall", "/stall", "wait", "/wait", "gather", "/gather"] * 2
