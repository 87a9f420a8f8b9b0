"""Contestants that do the same exchange in turn: how long one takes, how many fit into a second, what they cost."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lockstream.bridge.errors import LockstreamError
from lockstream.contrast.cpu import cpu_seconds, own_cpu_seconds
from lockstream.contrast.patterns.meeting import Meeting
from lockstream.contrast.patterns.payload import Array, Payload
from lockstream.contrast.results import Latency
from lockstream.contrast.statistics import Stream, latency

TURN_SECONDS = 0.05
TURN_SAMPLES = 16
LEAST_APART_SECONDS = 1e-4
FEWEST_ROUNDS = 3
PATIENCE = 5  # how often over the time may be, for so many rounds
FEWEST_TURNS = 10  # before an interval is believed
PRECISE = 0.05  # half the interval of confidence, over the median
MOST_STREAM_BYTES = 256 << 20
MOST_STREAM_EXCHANGES = 20_000
MOST_GROWTH = 10  # of a stream from one trial to the next


class WrongResult(LockstreamError):
    """An exchange did not bring what was due."""


class Contestant(NamedTuple):
    """A way to do an exchange.

    Parameters
    ----------
    exchange
        Does one, given what is sent and where to put what is due; may return while sent data is still on its way.
    settle
        Waits until it is where it is safe.
    helper_pid
        A process that works for it: the broker; 0 if there is none.
    """

    exchange: Callable[[Array, Array], None]
    settle: Callable[[], None]
    helper_pid: int = 0


class Race:
    """One exchange of one size, done by several contestants.

    Parameters
    ----------
    meeting
        Of the participants.
    payload
        This participant's part.
    contestants
        Who takes part; the same order on all ranks.
    """

    def __init__(self, meeting: Meeting, payload: Payload, contestants: Sequence[Contestant]) -> None:
        self._meeting, self._payload, self._contestants = meeting, payload, contestants
        self._number = 0

    def latencies(self, seconds: float) -> list[Latency]:
        """Take turns until all are known to a few per cent, or so many seconds have passed.

        Where turns are slow it takes a few times longer, so that there is more than one sample. The first
        round does not count: it touches memory for the first time and opens connections.
        """
        typical = [self._turn(contestant, TURN_SECONDS)[0] for contestant in self._contestants]
        turns: list[list[list[float]]] = [[] for _ in self._contestants]
        begun, rounds = self._meeting.moment(), 0
        passed = 0.0
        while (rounds < FEWEST_ROUNDS and passed < PATIENCE * seconds) or (
            passed < seconds and not _are_precise(turns)
        ):
            for one, contestant in enumerate(self._contestants):
                turns[one].append(self._turn(contestant, typical[one]))
                typical[one] = latency(turns[one]).median
            rounds += 1
            passed = self._meeting.moment() - begun
        return [latency(taken) for taken in turns]

    def streams(
        self, nbytes: int, typical: Sequence[float], seconds: float, rounds: int
    ) -> list[list[Stream]]:
        """Have exchanges done one after the other, without waiting for all to have come so far.

        Contestants take turns here too. Trials, which do not count, find out how many exchanges a stream has.

        Parameters
        ----------
        nbytes
            Brought by one exchange.
        typical
            Seconds that one takes, for each contestant.
        seconds
            That a stream should take about.
        rounds
            Streams of each contestant.
        """
        most = min(MOST_STREAM_EXCHANGES, max(2, MOST_STREAM_BYTES // max(1, nbytes)))
        counts = [
            self._enough(contestant, nbytes, time_of_one, seconds, most)
            for contestant, time_of_one in zip(self._contestants, typical, strict=True)
        ]
        done: list[list[Stream]] = [[] for _ in self._contestants]
        for _ in range(rounds):
            for streams, contestant, count in zip(done, self._contestants, counts, strict=True):
                streams.append(self._stream(contestant, count, nbytes))
        return done

    def _enough(self, contestant: Contestant, nbytes: int, typical: float, seconds: float, most: int) -> int:
        """Return how many exchanges fill the time; where they overlap these are more than one alone lets expect."""
        count = min(most, max(2, round(seconds / 5 / typical)))
        while True:
            tried = self._stream(contestant, count, nbytes)
            wanted = min(most, max(2, round(count * min(MOST_GROWTH, seconds / tried.seconds))))
            if tried.seconds > seconds / 2 or wanted <= count:
                return wanted
            count = wanted

    def _turn(self, contestant: Contestant, typical: float) -> list[float]:
        """Return the seconds from the begin of exchanges until the last participant was through.

        Short ones are done in a row, at moments that all know beforehand. The first of them does not count, so that
        none pays for what others, or a rest, have left in the caches. One that begins before the last one is over
        does not count either.
        """
        apart = max(LEAST_APART_SECONDS, 3 * typical)
        row = 1 + min(TURN_SAMPLES, int(TURN_SECONDS / apart))
        self._prepare()
        first = self._meeting.moment()
        begins = [first + number * apart for number in range(row)]
        left: list[float] = []
        for begin in begins:
            if left:
                self._check()
                self._prepare()
            self._meeting.wait_until(begin)
            contestant.exchange(self._payload.mine, self._payload.got)
            contestant.settle()
            left.append(time.monotonic())
        ends = self._meeting.latest(*left)
        self._check()
        taken = [end - begin for begin, end in zip(begins, ends, strict=True)]
        in_time = [
            one for one, begin, end in zip(taken[1:], begins[1:], ends[:-1], strict=True) if end < begin
        ]
        return in_time or taken[:1]

    def _stream(self, contestant: Contestant, exchanges: int, nbytes: int) -> Stream:
        mine, got = self._payload.mine, self._payload.got
        self._prepare()
        helped = cpu_seconds(contestant.helper_pid) if contestant.helper_pid else 0.0
        begin = self._meeting.moment()
        self._meeting.wait_until(begin)
        worked = own_cpu_seconds()
        for _ in range(exchanges):
            contestant.exchange(mine, got)
        contestant.settle()
        left, worked = time.monotonic(), own_cpu_seconds() - worked
        (last_left,) = self._meeting.latest(left)
        helped = cpu_seconds(contestant.helper_pid) - helped if contestant.helper_pid else 0.0
        (cpu,) = self._meeting.total(worked)
        (helped,) = self._meeting.latest(helped)
        self._check()
        return Stream(exchanges, exchanges * nbytes, last_left - begin, cpu + helped)

    def _prepare(self) -> None:
        self._number += 1
        self._payload.prepare(self._number)

    def _check(self) -> None:
        if not self._payload.is_right:
            raise WrongResult(f"exchange {self._number} did not bring what was due")


def _are_precise(contestants: Sequence[Sequence[Sequence[float]]]) -> bool:
    """Whether the medians are known well; alike on all ranks, as all have the same samples."""
    return all(
        found.turns >= FEWEST_TURNS and found.high - found.low <= 2 * PRECISE * found.median
        for found in map(latency, contestants)
    )
