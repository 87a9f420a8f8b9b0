import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from lockstream.kafka.archive.ledger import Entry, Outcome, breaks, entries_of, in_order

offsets = st.sets(st.integers(0, 60))
outcomes = st.lists(st.sampled_from(Outcome), min_size=1, max_size=60)


def whole(classes: list[Outcome], seed: int) -> list[Entry]:
    """Entries for the offsets 0, 1, …, one each, in random order."""
    entries = [Entry(0, n, n + 1, outcome) for n, outcome in enumerate(classes)]
    random.Random(seed).shuffle(entries)  # noqa: S311
    return entries


@given(offsets)
def test_entries_cover_the_offsets_and_nothing_else(given_offsets: set[int]) -> None:
    entries = list(entries_of(2, sorted(given_offsets), Outcome.ARCHIVED, attempt=1, step=7))
    covered = [offset for entry in entries for offset in range(entry.first, entry.stop)]
    assert covered == sorted(given_offsets)
    assert all(a.stop < b.first for a, b in itertools.pairwise(entries))
    assert all((e.partition, e.attempt, e.step) == (2, 1, 7) for e in entries)


@given(outcomes, st.integers(0, 99))
def test_order_and_joining_lose_nothing(classes: list[Outcome], seed: int) -> None:
    joined = in_order(whole(classes, seed))
    assert [entry.outcome for entry in joined for _ in range(entry.first, entry.stop)] == classes
    assert all(a.outcome != b.outcome for a, b in itertools.pairwise(joined))
    assert breaks(joined, {0: 0}, {0: len(classes)}) == []


@given(outcomes, st.integers(0, 99), st.data())
def test_a_lost_or_doubled_entry_is_a_break(classes: list[Outcome], seed: int, data: st.DataObject) -> None:
    entries = whole(classes, seed)
    place = data.draw(st.integers(0, len(entries) - 1))
    lost, doubled = entries[:place] + entries[place + 1 :], [*entries, entries[place]]
    assert breaks(lost, {0: 0}, {0: len(classes)})
    assert breaks(doubled, {0: 0}, {0: len(classes)})
    assert breaks(entries, {0: 0}, {0: len(classes) + 1})
    assert breaks(entries, {0: 1}, {0: len(classes)})


def test_neighbours_that_differ_are_not_joined() -> None:
    entries = [
        Entry(0, 0, 1, Outcome.QUARANTINED, reason="a"),
        Entry(0, 1, 2, Outcome.QUARANTINED, reason="b"),
        Entry(0, 3, 4, Outcome.QUARANTINED, reason="b"),
        Entry(1, 4, 5, Outcome.QUARANTINED, reason="b"),
    ]
    assert in_order(reversed(entries)) == entries


def test_breaks_say_which_offsets() -> None:
    entries = [
        Entry(0, 0, 2, Outcome.CONTROL),
        Entry(0, 4, 6, Outcome.ARCHIVED),
        Entry(0, 5, 7, Outcome.CONTROL),
    ]
    faults = breaks(entries, {0: 0, 1: 0}, {0: 9, 1: 3})
    assert [word for fault in faults for word in fault.split() if word[0].isdigit()] == [
        *["0:", "2..3", "0:", "5", "0:", "7,", "9", "1:", "0,", "3"]
    ]


def test_entries_of_an_unknown_partition_or_of_nothing_make_no_sense() -> None:
    assert "no sense" in breaks([Entry(3, 0, 1, Outcome.CONTROL)], {0: 0}, {})[0]
    assert "no sense" in breaks([Entry(0, 5, 5, Outcome.CONTROL)], {0: 0}, {})[0]
    assert "no sense" in breaks([Entry(0, 5, 4, Outcome.CONTROL)], {0: 0}, {})[0]
