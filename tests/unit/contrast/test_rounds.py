from pathlib import Path

import pytest

from lockstream.contrast.experiments.rounds import ROUNDS, Value, conclude, span
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig


def concluded(is_quick: bool) -> tuple[Experiment, int]:
    figures = [3.0, 9.0, 4.0]
    taken = 0

    def measure() -> list[Outcome]:
        nonlocal taken
        taken += 1
        return [
            Outcome(subject="MPI", quantity="wait", value=figures[taken - 1], unit="s"),
            Outcome(subject="MPI", quantity="lost", value=figures[taken - 1], unit="messages"),
            Outcome(subject="MPI", quantity="gone", value=None, unit="s", note="cannot be"),
        ]

    def say(value: Value) -> str:
        return f"MPI waits {span(value('MPI', 'wait'))}."

    rig = Rig(folder=Path(), servers="", broker_pid=0, is_quick=is_quick)
    about = dict.fromkeys(("name", "title", "question", "method"), "")
    return conclude(rig, measure, say, worst=("lost",), **about), taken


def test_one_round_will_do_for_a_rough_answer() -> None:
    found, taken = concluded(is_quick=True)
    assert taken == 1
    assert (found.outcomes[0].value, found.outcomes[0].low) == (3.0, None)
    assert found.finding == "MPI waits 3 s."


def test_of_all_rounds_the_middle_counts_and_the_range_is_kept() -> None:
    found, taken = concluded(is_quick=False)
    assert taken == ROUNDS
    assert (found.outcomes[0].value, found.outcomes[0].low, found.outcomes[0].high) == (4.0, 3.0, 9.0)
    assert found.finding == "MPI waits 4 s."


def test_of_losses_the_worst_counts() -> None:
    lost = concluded(is_quick=False)[0].outcomes[1]
    assert (lost.value, lost.low, lost.high) == (9.0, 3.0, 9.0)


def test_what_could_not_come_about_has_no_figure() -> None:
    found, _ = concluded(is_quick=False)
    assert (found.outcomes[2].value, found.outcomes[2].note) == (None, "cannot be")
    with pytest.raises(KeyError):
        found.value("MPI", "gone")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(2.0, "2 s"), (0.05, "50 ms"), (1.5e-3, "1.5 ms"), (4.2e-6, "4.2 µs"), (0.0, "0 µs")],
)
def test_a_time_is_said_in_its_own_unit(seconds: float, said: str) -> None:
    assert span(seconds) == said
