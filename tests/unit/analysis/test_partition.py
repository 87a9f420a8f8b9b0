"""However often workers take over from each other, and wherever: every step is analysed, none is made up."""

from collections.abc import Iterable

import pytest
from support.runs import JUNK, FakeRun, Log, record

from lockstream.bridge.messages import Field, Gap, RunStarted
from lockstream.bridge.wire import decode
from lockstream.kafka.analysis.analyser import Analyser
from lockstream.kafka.analysis.messages import SpectrumResult
from lockstream.kafka.analysis.partition import Lost, PartitionAnalysis
from lockstream.kafka.analysis.position import Position
from lockstream.kafka.events import Dropped, Ended, Event, Fault, Started

PLANE = (Field("p", (6, 8), "i2"),)
RUN = FakeRun(fields=PLANE)  # two tiles and a manifest per step
SINCE = 1_700_000_000_000


def analyser(started: RunStarted) -> Analyser:
    return Analyser(started, "", "w")


def read(part: PartitionAnalysis, log: Log, offsets: Iterable[int]) -> list[Event | SpectrumResult]:
    return [found for o in offsets for found in part.take(o, SINCE + o, *log[o])]


def take_over(position: Position | None, log: Log) -> PartitionAnalysis:
    """What a worker does that finds `position` committed."""
    started = None
    if position and position.started >= 0 and not position.ended:
        message = decode(*log[position.started])
        assert isinstance(message, RunStarted)
        started = message
    return PartitionAnalysis("fake", analyser, position, started)


def steps(found: Iterable[Event | SpectrumResult]) -> list[tuple[int, int]]:
    return [(f.attempt, f.step) for f in found if isinstance(f, SpectrumResult)]


def two_attempts() -> Log:
    second = FakeRun(fields=PLANE, attempt=1, after_step=20)
    gap = record(Gap(run="fake", step=40, reason="buffer full"))
    return [*RUN.logs([10, 20, 30], None)[0], gap, JUNK, *second.logs([30, 40, 50])[0]]


ALL = [(0, 10), (0, 20), (0, 30), (1, 30), (1, 40), (1, 50)]


def test_of_each_step_comes_a_result_and_of_the_rest_events():
    log = two_attempts()
    found = read(PartitionAnalysis("fake", analyser), log, range(len(log)))
    assert steps(found) == ALL
    events = [type(f) for f in found if not isinstance(f, SpectrumResult)]
    assert events == [Started, Dropped, Fault, Started, Ended]


@pytest.mark.parametrize("cut", range(len(two_attempts()) + 1))
def test_another_worker_goes_on_from_the_last_boundary_wherever_the_first_one_died(cut):
    log = two_attempts()
    first = PartitionAnalysis("fake", analyser)
    before = steps(read(first, log, range(cut)))
    position = first.position
    second = take_over(position, log)
    begin = position.offset if position else 0
    after = steps(read(second, log, range(begin, len(log))))
    assert before + after == ALL  # nothing twice either: the position was at a boundary
    assert begin <= cut
    assert second.position == Position(
        offset=len(log),
        since=SINCE,
        started=len(RUN.logs([10, 20, 30], None)[0]) + 2,
        last_step=50,
        ended=True,
        completed=True,
    )


def test_workers_may_take_over_after_every_single_record():
    log = two_attempts()
    found: list[Event | SpectrumResult] = []
    position: Position | None = None
    for stop in range(1, len(log) + 1):
        part = take_over(position, log)
        found += read(part, log, range(position.offset if position else 0, stop))
        position = part.position
    assert list(dict.fromkeys(steps(found))) == ALL


def test_a_position_counts_as_uncommitted_until_kafka_has_it():
    log = RUN.logs([10])[0]
    part = PartitionAnalysis("fake", analyser)
    assert part.uncommitted is None
    read(part, log, range(2))
    position = part.uncommitted
    assert position is not None
    part.mark_committed(position)
    assert part.uncommitted is None
    assert read(part, log, [2]) == []  # the second tile: the boundary is where it was
    assert part.uncommitted is None
    read(part, log, range(3, len(log)))
    assert part.uncommitted is not None


def test_records_that_kafka_deleted_are_told():
    log = RUN.logs([10, 20, 30])[0]
    part = PartitionAnalysis("fake", analyser)
    read(part, log, range(4))  # run-started and step 10
    found = read(part, log, range(7, len(log)))
    assert found[0] == Lost(offsets=(4, 6))
    assert steps(found) == [(0, 30)]


def test_a_topic_that_was_made_anew_is_read_from_its_start():
    log, other = RUN.logs([10, 20])[0], FakeRun(fields=PLANE, seed=1).logs([5])[0]
    part = PartitionAnalysis("fake", analyser)
    read(part, log, range(len(log)))
    found = read(part, other, range(len(other)))
    assert steps(found) == [(0, 5)]
    assert part.position == Position(
        offset=len(other), since=SINCE, started=0, last_step=5, ended=True, completed=True
    )


def test_a_run_that_is_left_out_is_read_to_its_end_all_the_same():
    log = RUN.logs([10, 20])[0]
    part = PartitionAnalysis("fake", lambda _started: None)
    assert steps(read(part, log, range(len(log)))) == []
    assert part.field is None
    assert part.position is not None
    assert (part.position.offset, part.position.ended) == (len(log), True)
