"""A race alone with itself: who takes part does as much as the others, and what is wrong is found."""

import time

import pytest

from lockstream.contrast.patterns.meeting import Meeting
from lockstream.contrast.patterns.payload import Array, payload
from lockstream.contrast.patterns.race import FEWEST_ROUNDS, Contestant, Race, WrongResult


class Alone(Meeting):
    """A meeting of one, without MPI."""

    def __init__(self) -> None:
        self._awake = 0.0

    def latest(self, *values: float) -> tuple[float, ...]:
        return values

    def total(self, *values: float) -> tuple[float, ...]:
        return values


class Copier:
    """Does an exchange with itself."""

    def __init__(self, seconds: float = 0.0, fails_after: float = float("inf")) -> None:
        self.seconds, self.fails_after, self.done, self.settled = seconds, fails_after, 0, 0

    def exchange(self, mine: Array, got: Array) -> None:
        time.sleep(self.seconds)
        self.done += 1
        if self.done < self.fails_after:
            got[:] = mine

    def settle(self) -> None:
        self.settled += 1

    def __call__(self) -> Contestant:
        return Contestant(self.exchange, self.settle)


def race(*copiers: Copier) -> Race:
    return Race(Alone(), payload("all-to-all", 64, 0, 1), [copier() for copier in copiers])


def test_latencies_are_those_of_the_contestants_in_their_order() -> None:
    slow, quick = race(Copier(0.01), Copier()).latencies(1.0)
    assert slow.median > 0.01 > quick.median > 0
    assert min(slow.samples, quick.samples) >= FEWEST_ROUNDS


def test_a_slow_contestant_is_timed_more_than_once_but_not_for_ever() -> None:
    (slow,) = race(Copier(0.06)).latencies(0.2)
    assert slow.samples >= 2
    (endless,) = race(Copier(0.06)).latencies(0.001)
    assert endless.samples == 1


def test_every_exchange_that_is_timed_is_settled() -> None:
    copier = Copier()
    race(copier).latencies(0.1)
    assert copier.settled == copier.done


def test_a_wrong_result_is_found_in_any_turn() -> None:
    with pytest.raises(WrongResult, match="did not bring what was due"):
        race(Copier(fails_after=30)).latencies(0.5)


def test_a_stream_settles_once_and_is_as_long_as_wanted() -> None:
    copier = Copier(0.001)
    ((run,),) = race(copier).streams(nbytes=64, typical=[0.001], seconds=0.1, rounds=1)
    assert copier.settled >= 2  # trials, and for good
    assert run.exchanges >= 10
    assert run.seconds >= run.exchanges * 0.001


def test_a_stream_is_as_long_as_wanted_though_one_exchange_alone_takes_much_longer() -> None:
    """A hundred of these in a stream take as long as one alone."""
    copier = Copier(0.0001)
    ((run,),) = race(copier).streams(nbytes=64, typical=[0.01], seconds=0.1, rounds=1)
    assert run.exchanges > 100


def test_streams_of_all_contestants_take_turns() -> None:
    order: list[str] = []

    class Named(Copier):
        def __init__(self, name: str) -> None:
            super().__init__(0.001)
            self.name = name

        def settle(self) -> None:
            order.append(self.name)

    first, second = race(Named("a"), Named("b")).streams(
        nbytes=64, typical=[0.001, 0.001], seconds=0.02, rounds=3
    )
    assert len(first) == len(second) == 3
    assert order[-6:] == ["a", "b"] * 3


def test_a_stream_of_large_exchanges_is_bounded() -> None:
    ((run,),) = race(Copier()).streams(nbytes=1 << 30, typical=[1e-6], seconds=9, rounds=1)
    assert run.exchanges == 2


def test_a_wrong_stream_is_found() -> None:
    copier = Copier(fails_after=1)
    with pytest.raises(WrongResult):
        race(copier).streams(nbytes=64, typical=[0.1], seconds=0.1, rounds=1)
