"""What the programs of the experiments are made of."""

from pathlib import Path

import pytest

from lockstream.bridge.errors import WireError
from lockstream.contrast.experiments.journal import note, noted
from lockstream.contrast.experiments.programs.numbered import number_of, numbered
from lockstream.contrast.experiments.programs.order import Order
from lockstream.contrast.experiments.programs.tasks import task_message, task_of


def test_a_message_bears_its_number() -> None:
    assert len(numbered(7, 100)) == 100
    assert number_of(numbered(7, 100)) == 7


@pytest.mark.parametrize("value", [None, b"", b"1234567"])
def test_a_message_without_a_number_is_not_ours(value: bytes | None) -> None:
    with pytest.raises(WireError):
        number_of(value)


def test_a_task_comes_back_as_it_was_sent() -> None:
    assert task_of(task_message(-3, 0.25)) == (-3, 0.25)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"x" * 15, task_message(1, -1.0), task_message(1, float("nan")), task_message(1, 1e9)],
)
def test_nobody_works_on_what_is_no_task(value: bytes | None) -> None:
    with pytest.raises(WireError):
        task_of(value)


def test_one_way_that_counts_up_is_in_order() -> None:
    order = Order()
    for number in (0, 1, 5):
        order.take(0, number)
    assert order.found() == {"count": 3, "within": 0, "over_all": 0}


def test_two_ways_may_be_in_order_each_and_not_over_all() -> None:
    order = Order()
    for way, number in ((0, 0), (0, 2), (1, 1), (1, 3), (0, 4)):
        order.take(way, number)
    assert order.found() == {"count": 5, "within": 0, "over_all": 1}


def test_a_number_that_comes_back_is_out_of_turn() -> None:
    order = Order()
    for number in (0, 2, 1):
        order.take(3, number)
    assert order.found() == {"count": 3, "within": 1, "over_all": 1}


def test_notes_are_there_while_their_writer_still_runs(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("a", encoding="ascii") as journal:
        note(journal, 4)
        note(journal, 5)
        (first, before), (second, after) = noted(tmp_path / "journal")
    assert (first, second) == (4, 5)
    assert before <= after


def test_a_line_that_a_kill_has_torn_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("4 1.5\n5 2.", encoding="ascii")
    assert noted(tmp_path / "journal") == [(4, 1.5)]


def test_who_never_began_has_noted_nothing(tmp_path: Path) -> None:
    assert noted(tmp_path / "journal") == []
