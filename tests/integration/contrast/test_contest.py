"""Both styles race on real ranks and a real Kafka, and what comes out is whole."""

from dataclasses import replace

import pytest

from lockstream.contrast.patterns import measure as measuring
from lockstream.contrast.patterns.plan import QUICK, SETTINGS
from lockstream.contrast.results import Measurement
from lockstream.contrast.rig import Rig
from lockstream.kafka.broker import BrokerInfo

pytestmark = pytest.mark.timeout(400)  # three launches, on a machine that may do much else

TINY = replace(
    QUICK,
    participants=(2,),
    sizes=(1, 3 << 20),
    streamed=(3 << 20,),
    latency_seconds=0.01,
    stream_seconds=0.01,
    settings_seconds=0.05,
    settings_sizes=(1024,),
    warm_seconds=0.01,
)


@pytest.fixture(scope="module")
def heard() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(
    broker: BrokerInfo, heard: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Measurement, ...]:
    folder = tmp_path_factory.mktemp("rig")
    rig = Rig(folder=folder, servers=broker.bootstrap_servers, broker_pid=broker.pid, is_quick=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "QUICK", TINY)
        return measuring.measure(rig, heard.append)


def test_every_pattern_is_measured_in_both_styles(found: tuple[Measurement, ...]) -> None:
    usual = {(one.pattern, one.style, one.participants, one.nbytes) for one in found if not one.dimension}
    wanted = {
        (pattern, style, 2, nbytes)
        for pattern, sizes in measuring.sizes_of(TINY, 2).items()
        for nbytes in sizes
        for style in ("mpi", "kafka")
    }
    assert usual == wanted
    assert len(found) == len(wanted) + len(SETTINGS)


def test_times_are_times(found: tuple[Measurement, ...]) -> None:
    for one in found:
        assert 0 < one.latency.low <= one.latency.median <= one.latency.high <= one.latency.p99, one


def test_what_is_streamed_has_a_rate_and_costs_processor_time_of_the_broker_too(
    found: tuple[Measurement, ...],
) -> None:
    large = [one for one in found if one.nbytes == 3 << 20]
    assert {one.pattern for one in large} == set(measuring.sizes_of(TINY, 2)) - {"barrier"}
    for one in large:
        assert one.throughput, one
        assert 0 < one.throughput.low <= one.throughput.median <= one.throughput.high, one
        assert one.throughput.samples == TINY.streams
        assert one.throughput.cpu_seconds_per_gigabyte, one
    assert not any(one.throughput for one in found if one.nbytes <= 8)


def test_settings_are_named(found: tuple[Measurement, ...]) -> None:
    named = [(one.dimension, one.setting) for one in found if one.dimension]
    assert named == [(way.dimension, way.setting) for way in SETTINGS]


def test_it_says_where_it_is(found: tuple[Measurement, ...], heard: list[str]) -> None:
    assert heard[0] == "point-to-point between 2"
    assert "barrier between 2" in heard
