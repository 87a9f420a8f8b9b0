"""`open_stream` on one rank, with a producer that does what the test says."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from support.producer import FakeProducer

from lockstream.bridge import Block, Field, Stream, StreamSettings, open_stream
from lockstream.bridge import stream as stream_module
from lockstream.bridge.errors import (
    ConfigurationError,
    DeliveryFailed,
    LockstreamError,
    StreamClosed,
    UserError,
)
from lockstream.bridge.gather import BlockMismatch
from lockstream.bridge.messages import Manifest, RunEnded, RunStarted
from lockstream.bridge.opening import begin_publishing as real_begin_publishing
from lockstream.bridge.publisher import Publisher

U = Field("u", (6, 5))
BLOCK = {"u": Block(np.ones((6, 5), "f4"), (0, 0))}


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProducer]:
    fake = FakeProducer()

    def begin(started: RunStarted, settings: StreamSettings, _options: object) -> Publisher:
        publisher = Publisher(fake, "topic", started, settings.buffer_bytes)
        publisher.send_now(started)
        return publisher

    monkeypatch.setattr(stream_module, "begin_publishing", begin)
    yield fake
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


def test_a_step_larger_than_the_buffer_is_refused_before_any_connection() -> None:
    with pytest.raises(ConfigurationError, match="one step has 120"):
        real_begin_publishing(
            RunStarted(run="r", fields=(U,), tiles={"u": (6, 5)}), StreamSettings(buffer_bytes=119), {}
        )


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


def test_close_says_which_steps_are_missing(producer: FakeProducer) -> None:
    producer.delivers = False
    stream = opened(settings=StreamSettings(close_timeout=0.2))
    for step in (2, 4):
        stream.publish(step, time=0.0, blocks=BLOCK)
    with pytest.raises(DeliveryFailed, match=r"are run-started or run-ended, step 2, step 4$"):
        stream.close()
    assert not any(isinstance(sent.message, RunEnded) for sent in producer.sent)


def test_a_delivery_error_reaches_the_simulation(producer: FakeProducer) -> None:
    stream = opened(settings=StreamSettings(buffer_bytes=120))
    producer.delivers = False
    stream.publish(0, time=0.0, blocks=BLOCK)
    producer.wait_for(2)
    producer.deliver(1)
    producer.deliver(1, "message timed out")
    for use in (lambda: stream.publish(1, time=0.0, blocks=BLOCK), stream.close):
        with pytest.raises(LockstreamError, match="message timed out"):
            use()


def test_an_error_in_the_simulation_is_not_hidden_by_one_of_the_stream(producer: FakeProducer) -> None:
    with pytest.raises(ZeroDivisionError) as raised, opened(settings=StreamSettings(close_timeout=0.1)) as s:  # noqa: PT012
        producer.delivers = False
        s.publish(0, time=0.0, blocks=BLOCK)
        raise ZeroDivisionError
    assert "could not be closed" in raised.value.__notes__[0]
