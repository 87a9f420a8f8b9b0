"""Each experiment for real, with as little as it takes; what must come out however fast the machine is."""

import pytest

from lockstream.contrast.experiments import (
    coupling,
    crashed,
    late,
    listeners,
    lost_broker,
    partitions,
    replay,
    slow,
    uneven,
)
from lockstream.contrast.results import Experiment
from lockstream.contrast.rig import Rig


def test_who_is_killed_ends_the_others_in_mpi_alone(rig: Rig) -> None:
    found = crashed.run(rig)
    assert found.value("MPI", crashed.EXIT_CODE) == 9
    assert found.value("MPI", crashed.FINISHED) == 0
    half = found.value("MPI", crashed.DONE)
    assert half in (19, 20)  # one may have been killed before it had noted the last collective
    assert found.value("MPI", crashed.AGAIN) == 20
    assert found.value("Kafka", crashed.EXIT_CODE) == -9
    assert found.value("Kafka", crashed.FINISHED) == 3
    assert found.value("Kafka", crashed.DONE) == 40
    assert found.value("Kafka", crashed.AGAIN) == 1  # the one that it had done, but not committed
    assert found.value("MPI", crashed.MISSING) == found.value("Kafka", crashed.MISSING) == 0
    assert "In MPI 0 of 3 others finish" in found.finding
    assert "in Kafka 3 of 3 others finish" in found.finding


def test_a_large_send_waits_for_its_receiver_in_mpi_alone(rig: Rig) -> None:
    found = coupling.run(rig)
    assert found.value("MPI", coupling.TO_SEND_LARGE) >= coupling.LATE_SECONDS / 2
    assert found.value("MPI", coupling.BUFFERED) < coupling.LARGE
    assert found.value("Kafka", coupling.RECEIVED) == coupling.MESSAGES


def test_who_comes_late_misses_what_was_sent_in_mpi_alone(rig: Rig) -> None:
    found = late.run(rig)
    assert found.value("MPI", late.MISSED) == found.value("MPI", late.OVER) == 250
    assert found.value("MPI", late.WORLD) == 1
    assert found.value("Kafka", late.OVER) > 0
    assert found.value("Kafka", late.MISSED) == 0


def test_the_past_can_be_had_again_in_kafka_alone(rig: Rig) -> None:
    found = replay.run(rig)
    assert found.value("MPI", replay.AGAIN) == 0
    assert found.value("Kafka", replay.RECEIVED) == 400
    assert found.value("Kafka", replay.AGAIN) == found.value("Kafka", replay.DUE) >= 400


@pytest.mark.drill
def test_all_wait_for_the_slow_one_in_mpi_and_it_alone_is_behind_in_kafka(rig: Rig) -> None:
    found = slow.run(rig)
    assert found.value("MPI", slow.SLOW) >= slow.SLOW_SECONDS
    assert found.value("Kafka", slow.LAG) > found.value("Kafka", slow.LAG_OF_OTHERS)


@pytest.mark.drill
def test_every_listener_costs_something_to_somebody(rig: Rig) -> None:
    found = listeners.run(rig)
    assert {outcome.subject for outcome in found.outcomes} == {*listeners.WAYS, listeners.KAFKA}
    assert all(outcome.value is not None and outcome.value > 0 for outcome in found.outcomes)


@pytest.mark.drill
def test_order_is_kept_within_a_way_and_not_over_all(rig: Rig) -> None:
    found = partitions.run(rig)
    assert all(value == 0 for value in _values(found, "within"))
    for subject in ("MPI", "Kafka"):
        assert found.value(subject, "out of turn over all, 1 way") == 0
    assert found.value("Kafka", "out of turn over all, 4 ways") > 0


@pytest.mark.drill
def test_every_way_does_every_task_once(rig: Rig) -> None:
    found = uneven.run(rig)
    for subject in (uneven.SHARES, uneven.SERVED, uneven.GROUP, uneven.QUEUE):
        assert found.value(subject, uneven.DONE) == 64
        assert found.value(subject, uneven.EFFICIENCY) <= 1


@pytest.mark.drill
@pytest.mark.timeout(600)
def test_nothing_acknowledged_by_all_is_lost_with_a_broker(rig: Rig) -> None:
    found = lost_broker.run(rig)
    assert found.value(lost_broker.SAFE, lost_broker.LOST) == 0
    assert found.value(lost_broker.SAFE, lost_broker.DOUBLE) == 0
    assert found.value(lost_broker.SAFE, lost_broker.LEFT_SENT) > 0
    assert found.value(lost_broker.SAFE, lost_broker.LEFT_ACKNOWLEDGED) == 0


def _values(found: Experiment, word: str) -> list[float | None]:
    return [outcome.value for outcome in found.outcomes if word in outcome.quantity]
