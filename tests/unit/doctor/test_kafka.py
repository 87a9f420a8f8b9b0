"""What a cluster's settings mean for acknowledged steps."""

import pytest

from lockstream.bridge.settings import StreamSettings
from lockstream.bridge.topics import run_topic_settings
from lockstream.cli.checks.finding import State
from lockstream.cli.checks.kafka import judge_clocks, judge_replication, judge_topic


@pytest.mark.parametrize(
    ("factor", "least", "brokers", "state"),
    [
        (1, 1, 1, State.OK),
        (3, 2, 3, State.OK),
        (3, 2, 2, State.FAULT),
        (1, 2, 1, State.FAULT),
        (1, 1, 3, State.WARNING),
        (3, 1, 3, State.WARNING),
        (2, 2, 3, State.WARNING),
    ],
)
def test_replication(factor: int, least: int, brokers: int, state: State) -> None:
    finding = judge_replication(factor, least, brokers)
    assert finding.state is state
    assert bool(finding.cure) == (state is not State.OK)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, State.OK),
        ({"cleanup.policy": "compact"}, State.FAULT),
        ({"max.message.bytes": "1048588"}, State.FAULT),
        ({"max.message.bytes": "99999999"}, State.OK),
        ({"retention.ms": "604800000"}, State.WARNING),
    ],
)
def test_topic_settings(changed: dict[str, str], state: State) -> None:
    finding = judge_topic("topic t", run_topic_settings(-1) | changed, 1, StreamSettings())
    assert finding.state is state
    assert all(key in finding.found for key in changed if state is not State.OK)


def test_another_number_of_partitions_is_a_fault() -> None:
    finding = judge_topic("topic t", run_topic_settings(-1), 3, StreamSettings())
    assert (finding.state, finding.cure) == (State.FAULT, "set stream.partitions = 3")


@pytest.mark.parametrize(
    ("stamped", "state"), [(100.002, State.OK), (98.0, State.WARNING), (103.5, State.WARNING)]
)
def test_a_clock_is_judged_by_what_the_round_trip_leaves_open(stamped: float, state: State) -> None:
    _, clocks = judge_clocks(100.0, 100.004, stamped)
    assert clocks.state is state
