"""Ranks' records become one account, in which nothing is lost or counted twice."""

import pytest

from lockstream.profiling.inside.pyinstrument import spots, tree
from lockstream.profiling.merge import merge_spots, merge_trees
from lockstream.profiling.report.words import findings, unequal
from lockstream.profiling.results import Machine, MergedSpot, Node, Profile, RankProfile, Spot

MAIN, WORK, WAIT = ("main", "a.py", 1), ("work", "a.py", 5), ("wait", "b.py", 7)


def rank(seconds: float, **spots_: float) -> RankProfile:
    return RankProfile(
        seconds=seconds,
        spots=tuple(
            Spot(file="x.py", line=0, function=name, seconds=taken) for name, taken in spots_.items()
        ),
    )


def profile(*ranks: RankProfile) -> Profile:
    return Profile(
        date="2026-11-28T00:00:00+00:00",
        tool="t",
        unit="function",
        command=("python", "x.py"),
        machine=Machine(processor="p", cores=2, system="s", python="3", load=0),
        rank_seconds=tuple(each.seconds for each in ranks),
        spots=merge_spots(ranks),
    )


def named(merged: tuple[MergedSpot, ...], name: str) -> MergedSpot:
    (found,) = (spot for spot in merged if spot.function == name)
    return found


def test_a_place_that_one_rank_does_not_know() -> None:
    merged = merge_spots([rank(4, a=1, b=2), rank(8, a=3), rank(2, a=1)])
    a, b = named(merged, "a"), named(merged, "b")
    assert (a.seconds, a.shares) == ((1, 3, 1), (0.25, 0.375, 0.5))
    assert (b.seconds, b.shares, b.imbalance) == ((2, 0, 0), (0.5, 0, 0), 3)
    assert a.imbalance == pytest.approx(3 / (5 / 3))
    assert a.excess == pytest.approx(3 - 5 / 3)
    assert merged[0] is a  # 37.5 % on average against 16.7 %


def test_what_bears_one_name_on_a_rank_is_added_up() -> None:
    """As two lambdas of one line do."""
    spots = tuple(
        Spot(file="x.py", line=3, function="<lambda>", seconds=s, calls=n) for s, n in ((1, 5), (2, 7))
    )
    (merged,) = merge_spots([RankProfile(seconds=4, spots=spots), RankProfile(seconds=4, spots=spots[::-1])])
    assert (merged.seconds, merged.calls, merged.inclusive) == ((3, 3), (12, 12), None)


def test_what_a_tool_does_not_say_is_not_zero() -> None:
    plain = RankProfile(seconds=1, spots=(Spot(file="", line=0, function="f", seconds=1),))
    counted = RankProfile(
        seconds=1, spots=(Spot(file="", line=0, function="f", seconds=1, calls=7, native=0.5),)
    )
    (merged,) = merge_spots([plain, plain])
    assert (merged.calls, merged.native, merged.inclusive) == (None, None, None)
    (merged,) = merge_spots([counted, RankProfile(seconds=1, spots=())])
    assert (merged.calls, merged.native, merged.megabytes) == ((7, 0), (0.5, 0), None)


def test_a_rank_that_did_nothing() -> None:
    (merged,) = merge_spots([rank(0, a=0), rank(0, a=0)])
    assert (merged.shares, merged.imbalance) == ((0, 0), 1)


def test_stacks_become_own_and_inclusive_time() -> None:
    stacks = [([MAIN, WORK], 2.0), ([MAIN], 1.0), ([MAIN, WORK, WAIT], 4.0), ([MAIN, WORK, MAIN], 0.5)]
    found = {spot.function: (spot.seconds, spot.inclusive) for spot in spots(stacks)}
    assert found == {"main": (1.5, 7.5), "work": (2.0, 6.5), "wait": (4.0, 4.0)}  # recursion counts once


def test_trees_are_merged_place_by_place() -> None:
    first = tree([([MAIN, WORK], 2.0), ([MAIN], 1.0)])
    second = tree([([MAIN, WAIT], 5.0), ([MAIN, WORK], 1.0)])
    merged = merge_trees([RankProfile(seconds=1, spots=(), tree=each) for each in (first, second)])
    assert merged is not None
    assert merged.seconds == (3, 6)
    (main,) = merged.children
    assert [(node.function, node.seconds) for node in main.children] == [("wait", (0, 5)), ("work", (2, 1))]
    assert (
        merge_trees([RankProfile(seconds=1, spots=(), tree=first), RankProfile(seconds=1, spots=())]) is None
    )


def test_deep_recursion_is_cut_not_lost() -> None:
    deep = tree([([WORK] * 5000, 1.0)])
    depth, node = 0, deep
    while node.children:
        depth, (node,) = depth + 1, node.children
    assert depth == 60
    assert node.seconds == (1.0,)
    assert isinstance(deep, Node)


def test_work_and_the_waiting_for_it_are_both_named() -> None:
    uneven = profile(rank(10, work=2, wait=7, same=1), rank(10, work=8, wait=1, same=1))
    assert [spot.function for spot in unequal(uneven)] == ["work", "wait"]
    text = " ".join(findings(uneven))
    assert "work, 8 s on rank 1 and 5 s on average and x.py wait, 7 s on rank 0" in text
    equal = " ".join(findings(profile(rank(10, work=8), rank(10, work=8))))
    assert "The ranks are equal" in equal
    assert "rank" not in " ".join(findings(profile(rank(10, work=8))))  # alone there is nothing to compare
