import msgspec
import pytest
from support.findings import findings, measured

from lockstream.contrast.experiments import late, lost_broker
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.verdicts import verdicts


def missed(**messages: float | None) -> Experiment:
    outcomes = tuple(
        Outcome(subject=who, quantity=late.MISSED, value=value, unit="messages")
        for who, value in messages.items()
    )
    return msgspec.structs.replace(findings().experiments[0], name="late-joiner", outcomes=outcomes)


def used(*experiments: Experiment) -> list[str]:
    return [verdict.use for verdict in verdicts([], experiments)]


def test_the_figures_decide_and_not_the_name() -> None:
    assert used(missed(MPI=0.1, Kafka=0.01)) == ["Kafka"]
    assert used(missed(MPI=0.01, Kafka=0.1)) == ["MPI"]


def test_what_hardly_differs_decides_nothing() -> None:
    assert used(missed(MPI=0.1, Kafka=0.11)) == ["MPI or Kafka"]


def test_zero_is_better_than_little() -> None:
    assert used(missed(MPI=0.001, Kafka=0.0)) == ["Kafka"]


def test_what_could_not_come_about_wins_nothing() -> None:
    assert used(missed(MPI=None, Kafka=3.0)) == ["Kafka"]
    assert used(missed(MPI=None, Kafka=None)) == []


def test_the_reason_is_what_was_found() -> None:
    (verdict,) = verdicts([], [missed(MPI=0.1, Kafka=0.01)])
    assert (verdict.because, verdict.evidence) == (findings().experiments[0].finding, "late-joiner")


def test_exchanges_are_compared_where_both_styles_were_measured() -> None:
    pairs = [measured("all-reduce", "mpi", 2, 8), measured("all-reduce", "kafka", 2, 8)]
    alone = measured("all-reduce", "kafka", 2, 1)
    (verdict,) = verdicts([*pairs, alone], [])
    assert verdict.use == "MPI"
    assert "8 B" in verdict.because
    assert "400×" in verdict.because
    assert verdicts([alone], []) == ()


@pytest.mark.parametrize(("lost", "use"), [(0, "Kafka, acks=all"), (1, "nothing of these")])
def test_luck_is_no_promise(lost: int, use: str) -> None:
    outcomes = tuple(
        Outcome(subject=who, quantity=lost_broker.LOST, value=value, unit="messages")
        for who, value in (("Kafka, acks=all", lost), ("Kafka, acks=1", 0))
    )
    assert used(
        msgspec.structs.replace(findings().experiments[0], name="lost-broker", outcomes=outcomes)
    ) == [use]


def test_a_simulation_that_is_not_slowed_down_cannot_do_better() -> None:
    outcomes = tuple(
        Outcome(subject=who, quantity="slowdown of the simulation", value=value, unit="")
        for who, value in (("all MPI", 4.0), ("all Kafka", 0.7), ("bridge", 1.01))
    )
    found = msgspec.structs.replace(
        findings().experiments[0], name="three-ways-slow-analysis", outcomes=outcomes
    )
    assert used(found) == ["all Kafka or bridge"]
