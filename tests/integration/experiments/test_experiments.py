"""Each experiment for real, with as little as it takes; what must come out however fast the machine is."""

from lockstream.contrast.experiments import coupling, crashed, late, replay
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
