"""The grammar of a partition, rule by rule, and whatever may be done to it."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.runs import JUNK, TWO_FIELDS, FakeRun, Log, Record, record

from lockstream.bridge.messages import Field, Gap, Manifest, Steered, TileRecord
from lockstream.kafka.assembler import StepAssembler
from lockstream.kafka.events import Ended, Event, Fault, Repeated, Step, Superseded

RUN = FakeRun(fields=TWO_FIELDS)
NEXT = FakeRun(fields=TWO_FIELDS, attempt=1, after_step=1)
START = record(RUN.started)
TILES = len(RUN.tiles(0))


def feed(log: Log, assembler: StepAssembler | None = None) -> list[Event]:
    assembler = assembler or StepAssembler("fake")
    return [event for offset, one in enumerate(log) for event in assembler.feed(offset, *one)]


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def only_fault(log: Log) -> Fault:
    events = feed(log)
    assert kinds(events).count("Fault") == 1
    (fault,) = (event for event in events if isinstance(event, Fault))
    return fault


def assert_each_offset_once(events: list[Event], assembler: StepAssembler, stop: int) -> None:
    settled = Counter(offset for event in events for offset in event.offsets)
    begin = assembler.resume_offset(stop)
    assert max(settled.values(), default=1) == 1
    assert set(range(begin)) <= set(settled)
    assert all(list(event.offsets) == sorted(event.offsets) and event.offsets for event in events)


def test_a_whole_run() -> None:
    (log,) = RUN.logs(range(3))
    events = feed(log)
    assert kinds(events) == ["Started", "Step", "Step", "Step", "Ended"]
    assert [event.offsets for event in events][1] == tuple(range(1, TILES + 2))
    for number, event in enumerate(events[1:-1]):
        assert isinstance(event, Step)
        assert (event.manifest.step, event.manifest.time) == (number, number / 3)
        for name in ("u", "n"):
            assert event.array(name).tobytes() == RUN.array(name, number).tobytes()
            assert event.array(name).dtype == RUN.array(name, number).dtype
        with pytest.raises(KeyError):
            event.array("v")


def test_tiles_may_come_in_any_order_and_the_manifest_decides() -> None:
    step = RUN.step(0)
    (event,) = feed([START, *reversed(step[:-1]), step[-1]])[1:]
    assert isinstance(event, Step)
    assert event.array("u").tobytes() == RUN.array("u", 0).tobytes()
    assert tuple(tile.record for tile in event.tiles) == event.manifest.tiles


@pytest.mark.parametrize("lost", range(TILES))
def test_a_lost_tile_tears_its_step_only(lost: int) -> None:
    log = [START, *RUN.step(0), *RUN.step(1), *RUN.step(2)]
    del log[1 + TILES + 1 + lost]
    events = feed(log)
    assert kinds(events) == ["Started", "Step", "Fault", "Step"]
    assert "torn" in events[2].reason  # type: ignore[attr-defined]


def test_a_lost_manifest_tears_its_step_only() -> None:
    events = feed([START, *RUN.step(0)[:-1], *RUN.step(1)])
    assert kinds(events) == ["Started", "Fault", "Step"]
    assert len(events[1].offsets) == TILES


def test_a_manifest_without_tiles() -> None:
    assert only_fault([START, RUN.step(0)[-1]]).offsets == (1,)


def test_the_end_tears_an_unfinished_step() -> None:
    events = feed([START, *RUN.step(0)[:-1], record(RUN.ended())])
    assert kinds(events) == ["Started", "Fault", "Ended"]


def test_nothing_belongs_to_an_attempt_that_did_not_start() -> None:
    assert kinds(feed(RUN.step(0))) == ["Fault"] * (TILES + 1)
    assert kinds(feed([START, *NEXT.step(2)])) == ["Started"] + ["Fault"] * (TILES + 1)


def test_nothing_new_comes_after_the_end() -> None:
    other = record(RUN.ended(status="failed"))
    events = feed([START, record(RUN.ended()), *RUN.step(0), record(RUN.ended()), other])
    assert kinds(events) == ["Started", "Ended", *["Fault"] * (TILES + 1), "Duplicate", "Fault"]


def test_all_of_it_again_after_the_end() -> None:
    gap = record(Gap(run="fake", step=1, reason="full"))
    log = [START, *RUN.step(0), gap, *RUN.step(2), record(RUN.ended())]
    assert kinds(feed(log * 2))[5:] == ["Duplicate", "Repeated", "DroppedAgain", "Repeated", "Duplicate"]


@pytest.mark.parametrize("begin", [0, 1, 2])
@pytest.mark.parametrize("only_missing", [True, False])
def test_a_step_that_a_crash_tore_is_whole_when_it_was_sent_again(begin: int, only_missing: bool) -> None:
    """Everything from step `begin` on comes again, the step in the middle of which the crash came as well."""
    torn, again = RUN.step(2)[:2], RUN.step(2)[2 if only_missing else 0 :]
    repeated = [one for n in range(begin, 2) for one in RUN.step(n)]
    events = feed([START, *RUN.step(0), *RUN.step(1), *torn, START, *repeated, *again, *RUN.step(3)])
    doubled = [] if only_missing else ["Duplicate"] * 2
    assert kinds(events)[3:] == ["Duplicate", *["Repeated"] * (2 - begin), *doubled, "Step", "Step"]


def test_a_command_tears_nothing() -> None:
    done = record(Steered(run="fake", id="a", command="pause", who="eva", sent="", step=0))
    step = RUN.step(0)
    events = feed([START, *step[:2], done, *step[2:], done])
    assert kinds(events) == ["Started", "CommandDone", "Step", "CommandDone"]


def test_a_command_too_large_is_a_fault() -> None:
    done = Steered(run="fake", id="a", command="set", who="eva", sent="", step=0, new="x" * (1 << 16))
    assert "exceeds the limit" in only_fault([START, record(done)]).reason


def test_another_run_has_no_business_here() -> None:
    other = FakeRun(run="other", fields=TWO_FIELDS)
    assert kinds(feed([record(other.started), START, *other.step(0)])) == ["Fault", "Started"] + ["Fault"] * (
        TILES + 1
    )


def test_a_tile_that_comes_twice_is_a_duplicate() -> None:
    step = RUN.step(0)
    assert kinds(feed([START, step[0], *step])) == ["Started", "Duplicate", "Step"]


def test_a_tile_that_comes_twice_with_other_elements_is_a_fault() -> None:
    forged = record(FakeRun(fields=TWO_FIELDS, seed=1).tiles(0)[0])
    events = feed([START, RUN.step(0)[0], forged, *RUN.step(0)[1:]])
    assert kinds(events) == ["Started", "Fault", "Step"]
    assert events[1].offsets == (2,)


def test_a_forged_tile_before_the_true_one_tears_the_step() -> None:
    forged = record(FakeRun(fields=TWO_FIELDS, seed=1).tiles(0)[0])
    events = feed([START, forged, *RUN.step(0)])
    assert not any(isinstance(event, Step) for event in events)
    assert {o for event in events for o in event.offsets} == set(range(TILES + 3))


def test_junk_in_the_middle_of_a_step_is_a_fault_of_its_own() -> None:
    step = RUN.step(0)
    events = feed([START, step[0], JUNK, (step[0][0], None), *step[1:]])
    assert kinds(events) == ["Started", "Fault", "Fault", "Step"]
    assert events[-1].offsets == (1, *range(4, TILES + 4))


def test_a_flood_of_junk_inside_a_step_tears_it_before_it_takes_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lockstream.kafka.assembler.MAX_FOREIGN", 50)
    step = RUN.step(0)
    assembler = StepAssembler("fake")
    events = feed([START, *step[:2], *[JUNK] * 50], assembler)
    assert kinds(events) == ["Started", *["Fault"] * 50]
    assert assembler.resume_offset(53) == 1
    (junk, torn) = assembler.feed(53, *JUNK)
    assert (junk.offsets, torn.offsets) == ((53,), (1, 2))
    assert isinstance(torn, Fault)
    assert "torn" in torn.reason
    assert assembler.resume_offset(54) == 54


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("declared", {"field": "w"}),
        ("says otherwise", {"shape": (8, 5)}),
        ("says otherwise", {"dtype": "i4"}),
        ("declared tiles", {"offset": (1, 0)}),
        ("crc32c", {"crc32c": "00000000"}),
    ],
)
def test_a_tile_that_cannot_belong(what: str, changes: dict[str, Any]) -> None:
    wrong = msgspec.structs.replace(RUN.tiles(0)[0], **changes)
    events = feed([START, record(wrong), *RUN.step(0)])
    assert kinds(events) == ["Started", "Fault", "Step"]
    assert what in events[1].reason  # type: ignore[attr-defined]


def test_a_manifest_must_list_every_tile_once() -> None:
    true = RUN.manifest(0)
    for tiles in (true.tiles[:-1], true.tiles[:1] * TILES, (*true.tiles, true.tiles[0]), ()):
        wrong = msgspec.structs.replace(true, tiles=tiles)
        fault = only_fault([START, *RUN.step(0)[:-1], record(wrong), *RUN.step(1)])
        assert fault.offsets == tuple(range(1, TILES + 2))


def test_a_manifest_with_another_checksum() -> None:
    true = RUN.manifest(0)
    first = true.tiles[0]
    forged = TileRecord(first.field, first.offset, first.extent, "00000000")
    wrong = msgspec.structs.replace(true, tiles=(forged, *true.tiles[1:]))
    assert "missing or differ" in only_fault([START, *RUN.step(0)[:-1], record(wrong)]).reason


def test_a_diagnostic_named_like_a_field() -> None:
    wrong = msgspec.structs.replace(RUN.manifest(0), diagnostics={"u": 1.0})
    assert "'u'" in only_fault([START, *RUN.step(0)[:-1], record(wrong)]).reason


def test_run_started_again() -> None:
    other = msgspec.structs.replace(RUN.started, time_units="h")
    events = feed([START, START, *RUN.step(0), record(other), START, *RUN.step(1)])
    assert kinds(events) == ["Started", "Duplicate", "Step", "Fault", "Duplicate", "Step"]


def test_a_step_that_comes_again_is_repeated() -> None:
    events = feed([START, *RUN.step(1), *RUN.step(1), *RUN.step(0), *RUN.step(2)])
    assert kinds(events) == ["Started", "Step", "Repeated", "Repeated", "Step"]
    assert isinstance(events[2], Repeated)


def test_a_gap_is_told_and_tears_what_is_pending() -> None:
    gap = record(Gap(run="fake", step=1, reason="full"))
    new = record(Gap(run="fake", step=3, reason="full"))
    events = feed([START, *RUN.step(0), gap, *RUN.step(2)[:-1], gap, new, *RUN.step(4)])
    assert kinds(events) == ["Started", "Step", "Dropped", "DroppedAgain", "Fault", "Dropped", "Step"]


def test_a_newer_attempt_supersedes_what_is_pending_and_what_comes_late() -> None:
    log = [START, *RUN.step(0), RUN.step(1)[0], record(NEXT.started), *RUN.step(1)[1:], *NEXT.step(2)]
    events = feed([*log, START, record(RUN.ended()), record(NEXT.ended())])
    assert kinds(events) == [
        *["Started", "Step", "Superseded", "Started"],
        *["Superseded"] * TILES,
        *["Step", "Superseded", "Superseded", "Ended"],
    ]
    assert isinstance(events[2], Superseded)
    assert events[2].offsets == (TILES + 2,)


def test_a_newer_attempt_after_the_end() -> None:
    log = [START, *RUN.step(0), record(RUN.ended(status="stopped")), record(NEXT.started), *NEXT.step(2)]
    assert kinds(feed(log)) == ["Started", "Step", "Ended", "Started", "Step"]


def test_an_attempt_with_other_fields_is_not_of_this_run() -> None:
    u, n = TWO_FIELDS
    for fields in ((u,), (u, n, Field("v", (6, 5))), (Field("u", (6, 5), "f8"), n), (Field("u", (5, 5)), n)):
        other = replace(NEXT, fields=fields)
        events = feed([START, *RUN.step(0)[:1], record(other.started), *RUN.step(0)[1:], *other.step(2)])
        assert kinds(events)[:3] == ["Started", "Fault", "Step"]
        assert "other fields" in events[1].reason  # type: ignore[attr-defined]
        assert set(kinds(events)[3:]) == {"Fault"}


def test_steps_of_a_newer_attempt_begin_after_its_checkpoint() -> None:
    events = feed([record(NEXT.started), *NEXT.step(1), *NEXT.step(2)])
    assert kinds(events) == ["Started", "Repeated", "Step"]


@pytest.mark.parametrize("cut", range(3 * (TILES + 1) + 3))
def test_resuming_anywhere_gives_the_same_events(cut: int) -> None:
    (log,) = RUN.logs(range(3))
    log = [*log[:5], JUNK, *log[5:]]
    first = StepAssembler("fake")
    events = [e for offset in range(cut) for e in first.feed(offset, *log[offset])]
    begin = first.resume_offset(cut)
    ended = any(isinstance(event, Ended) for event in events)
    again = StepAssembler("fake", first.started, first.last_step, RUN.ended(range(3)) if ended else None)
    events = [event for event in events if event.offsets[0] < begin]
    events += [e for offset in range(begin, len(log)) for e in again.feed(offset, *log[offset])]
    assert kinds(events) == kinds(feed(log))
    assert [e.offsets for e in events] == [e.offsets for e in feed(log)]


def pool() -> list[Record]:
    """Everything that could stand in the topic: honest, of two attempts, forged, hostile."""
    forger = FakeRun(fields=TWO_FIELDS, seed=9)
    other = FakeRun(run="other", fields=TWO_FIELDS)
    honest = [r for n in range(3) for r in RUN.step(n)] + [r for n in range(1, 4) for r in NEXT.step(n)]
    empty = Manifest(run="fake", step=10**17, time=0.0, tiles=())
    return [
        *[START, record(NEXT.started), record(RUN.ended()), record(NEXT.ended(status="stopped"))],
        *honest,
        *forger.step(1),
        *other.step(0),
        record(Gap(run="fake", step=2, reason="")),
        record(empty),
        JUNK,
        (honest[0][0], honest[0][1][:-1]),
        (honest[0][0], None),
        (None, b""),  # type: ignore[list-item]
    ]


POOL = pool()


def honest_log(seed: int) -> Log:
    """A whole log of two attempts, with records dropped, doubled, swapped and strewn in."""
    chance = random.Random(seed)  # noqa: S311
    log = [START, *RUN.step(0), *RUN.step(1), *RUN.step(2), record(NEXT.started), *NEXT.step(2)]
    log += [*NEXT.step(3), record(NEXT.ended())]
    for _ in range(chance.randrange(6)):
        place, other = chance.randrange(len(log)), chance.randrange(len(log))
        how = chance.randrange(4)
        if how == 0 and len(log) > 1:
            del log[place]
        elif how == 1:
            log.insert(place, log[other])
        elif how == 2:
            log[place], log[other] = log[other], log[place]
        else:
            log.insert(place, chance.choice(POOL))
    return log


def assert_sound(log: Log) -> None:
    assembler, events = StepAssembler("fake"), []
    for offset, one in enumerate(log):
        events += assembler.feed(offset, *one)
        held = assembler._pending.tiles.values() if assembler._pending else ()
        started = assembler.started
        assert sum(tile.raw_size for tile in held) <= (started.step_bytes if started else 0)
        assert_each_offset_once(events, assembler, offset + 1)
    seen = set()
    for event in events:
        if isinstance(event, Step):
            said, attempt = event.manifest.step, event.manifest.attempt
            sources = [FakeRun(fields=TWO_FIELDS, attempt=attempt, seed=seed) for seed in (0, 9)]
            assert any(
                all(event.array(f.name).tobytes() == run.array(f.name, said).tobytes() for f in TWO_FIELDS)
                for run in sources
            )
            if not isinstance(event, Repeated):
                assert (attempt, said) not in seen
                seen.add((attempt, said))


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 1 << 32))
def test_a_bent_log_is_never_lost_doubled_or_torn(seed: int) -> None:
    assert_sound(honest_log(seed))


@settings(max_examples=120, deadline=None)
@given(st.lists(st.integers(0, len(POOL) - 1), max_size=30))
def test_any_records_in_any_order(picked: list[int]) -> None:
    assert_sound([START, *(POOL[number] for number in picked)])


def test_hostile_tiles_never_take_more_than_one_step() -> None:
    assembler = StepAssembler("fake")
    list(assembler.feed(0, *START))
    for offset in range(1, 200):
        tile = msgspec.structs.replace(RUN.tiles(offset)[offset % TILES], step=offset)
        list(assembler.feed(offset, *record(tile)))
        assert assembler._pending is not None
        assert len(assembler._pending.tiles) == 1
        assert assembler.resume_offset(offset + 1) == offset


def test_a_step_array_is_a_new_array() -> None:
    event = feed([START, *RUN.step(0)])[1]
    assert isinstance(event, Step)
    array = event.array("u")
    array[:] = 0
    assert not np.array_equal(event.array("u"), array)
