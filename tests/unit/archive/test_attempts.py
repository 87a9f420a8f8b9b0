"""Attempts, zombies, crashes and everything sent twice: every offset has one class, the view is the model."""

import random
from dataclasses import dataclass, field, replace
from io import StringIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.programs import LOCKSTREAM, run
from support.runs import FakeRun, Log, archive, record

from lockstream.bridge.messages import Gap, Manifest, Steered
from lockstream.bridge.wire import decode
from lockstream.kafka import open_run
from lockstream.kafka.archive.ledger import Outcome
from lockstream.kafka.archive.merge import merge_run
from lockstream.kafka.archive.progress import terminal_report
from lockstream.kafka.archive.show import describe
from lockstream.kafka.archive.verify import Verified, verify_run
from lockstream.kafka.archive.view import ledger_of, view_run
from lockstream.kafka.assembler import StepAssembler

RUN = FakeRun()
TILES = len(RUN.tiles(0))


def gap(step: int, attempt: int = 0, reason: str = "buffer full") -> Gap:
    return Gap(run="fake", attempt=attempt, step=step, reason=reason)


def steered(name: str, attempt: int = 0, **changes: Any) -> Steered:
    about: dict[str, Any] = {"command": "set", "who": "eva@node-1", "sent": "2026-01-01T00:00:00Z", "step": 3}
    about |= {"key": "model.F", "old": 0.5, "new": "x\u2028"}
    return Steered(run="fake", attempt=attempt, id=name, **(about | changes))


def verified(folder: Path) -> Verified:
    result = verify_run(folder / "fake")
    assert result.faults == ()
    return result


def outcomes(folder: Path) -> list[Outcome]:
    """The class of each offset of partition 0."""
    entries = sorted(e for e in ledger_of(view_run(folder / "fake")) if e.partition == 0)
    return [entry.outcome for entry in entries for _ in range(entry.first, entry.stop)]


def items_of(run: FakeRun, steps: range, gaps: set[int], status: str | None = "completed") -> list[list[Log]]:
    """Per partition the items of an attempt as its publisher sends them, each a list of records."""
    everywhere: list[list[Log]] = [[[record(run.started)]] for _ in range(run.partitions)]
    for number, step in enumerate(steps):
        is_gap = step in gaps
        item = [record(gap(step, run.attempt))] if is_gap else run.step(step)
        everywhere[number % run.partitions].append(item)
        if step % 3 == 1:
            for items in everywhere:
                items.append([record(steered(f"c{step}", run.attempt, step=step))])
    if status:
        for items in everywhere:
            items.append([record(run.ended(steps, status))])
    return everywhere


def joined(items: list[Log]) -> Log:
    return [one for item in items for one in item]


@pytest.mark.parametrize("segment_bytes", [1, 300, 1 << 30])
@pytest.mark.parametrize("partitions", [1, 3])
def test_a_spool_that_is_drained_twice(tmp_path: Path, partitions: int, segment_bytes: int) -> None:
    run = replace(RUN, partitions=partitions)
    logs = [joined(items) * 2 for items in items_of(run, range(7), {2, 5})]
    archive(tmp_path, logs, segment_bytes=segment_bytes)
    result = verified(tmp_path)
    assert (result.steps, result.gaps, result.steered, result.status) == (5, (2, 5), 2, "completed")
    total = sum(map(len, logs))
    assert (result.offsets["duplicate"], sum(result.offsets.values())) == (total // 2, total)


def test_a_drain_after_the_archive_was_merged(tmp_path: Path) -> None:
    (items,) = items_of(RUN, range(4), {2})
    log = joined(items)
    archive(tmp_path, [log])
    archive(tmp_path, [log * 2])
    assert verified(tmp_path).offsets["duplicate"] == len(log)


@pytest.mark.parametrize("begin", range(5))
def test_a_crash_at_any_record(tmp_path: Path, begin: int) -> None:
    """The publisher dies behind each record in turn; its spool begins at one of the items before that."""
    (items,) = items_of(RUN, range(3), {1})
    log = joined(items)
    first = len(joined(items[:begin]))
    for cut in range(first, len(log) + 1):
        folder = tmp_path / str(cut)
        archive(folder, [log[:cut] + log[first:]], segment_bytes=1)
        result = verified(folder)
        assert (result.steps, result.gaps) == (2, (1,))
        assert result.offsets["duplicate"] == cut - first
        assert result.offsets["quarantined"] == 0


@pytest.mark.parametrize("segment_bytes", [1, 1 << 30])
@pytest.mark.parametrize("sent_again", range(1, TILES + 1))
def test_the_end_of_a_step_that_comes_again(tmp_path: Path, sent_again: int, segment_bytes: int) -> None:
    """Kafka had it whole, and the last acknowledgements were lost."""
    log = [record(RUN.started), *RUN.step(0), *RUN.step(1), *RUN.step(1)[-sent_again:], *RUN.step(2)]
    archive(tmp_path, [[*log, record(RUN.ended(range(3)))]], segment_bytes=segment_bytes)
    result = verified(tmp_path)
    assert (result.steps, result.status) == (3, "completed")
    assert (result.offsets["duplicate"], result.offsets["quarantined"]) == (sent_again, 0)


def test_a_manifest_that_comes_again_and_says_otherwise_is_quarantined(tmp_path: Path) -> None:
    other = msgspec.structs.replace(RUN.manifest(0), time=1.0)
    archive(tmp_path, [[record(RUN.started), *RUN.step(0), record(other), *RUN.step(1)]])
    result = verified(tmp_path)
    assert (result.steps, result.offsets["duplicate"], result.offsets["quarantined"]) == (2, 0, 1)


def test_a_torn_step_that_comes_whole_behind_newer_ones(tmp_path: Path) -> None:
    log = [record(RUN.started), *RUN.step(0), *RUN.step(1)[:2], *RUN.step(2), *RUN.step(3)[:1], *RUN.step(1)]
    archive(tmp_path, [[*log, *RUN.step(3), record(RUN.ended(range(4))), *RUN.step(1)]], segment_bytes=1)
    result = verified(tmp_path)
    assert (result.steps, result.offsets["quarantined"]) == (4, 3)
    with open_run(tmp_path) as data:
        assert data["step"].values.tolist() == [0, 1, 2, 3]
        for row in range(4):
            assert data["u"][row].values.tobytes() == RUN.array("u", row).tobytes()


@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_a_late_step_in_the_middle_of_a_segment(tmp_path: Path, on_end: str) -> None:
    log = [record(RUN.started), *RUN.step(0), *RUN.step(3), *RUN.step(2), *RUN.step(1), *RUN.step(4)]
    archive(tmp_path, [[*log, record(RUN.ended(range(5)))]], on_end=on_end)
    assert verified(tmp_path).steps == 5
    with h5py.File(tmp_path / "fake" / "run.h5") as file:
        assert file["step"][()].tolist() == list(range(5))
        for row in range(5):
            assert file["u"][row].tobytes() == RUN.array("u", row).tobytes()


def test_a_gap_of_a_step_that_is_archived_is_a_fault(tmp_path: Path) -> None:
    for number, log in enumerate([[*RUN.step(0), record(gap(0))], [record(gap(0)), *RUN.step(0)]]):
        archive(tmp_path / str(number), [[record(RUN.started), *log]])
        (fault,) = verify_run(tmp_path / str(number) / "fake").faults
        assert (fault.step, "a gap says that it was dropped" in fault.what) == (0, True)


def test_a_gap_for_another_reason_is_quarantined(tmp_path: Path) -> None:
    log = [record(RUN.started), record(gap(0)), record(gap(0, reason="other")), record(gap(0))]
    archive(tmp_path, [log])
    assert outcomes(tmp_path)[1:] == [Outcome.CONTROL, Outcome.QUARANTINED, Outcome.DUPLICATE]


def test_gaps_that_a_newer_attempt_made_good_are_none(tmp_path: Path) -> None:
    newer = replace(RUN, attempt=1, after_step=1, more={"steps_before": 2})
    log = [record(RUN.started), *RUN.step(0), record(gap(1)), record(gap(2)), *newer.logs(range(2, 5))[0]]
    for on_end in ("links", "merge"):
        archive(tmp_path / on_end, [log], on_end=on_end)
        assert verified(tmp_path / on_end).gaps == (1,)
        shown = describe(tmp_path / on_end / "fake")
        assert (shown.gaps, shown.gap_steps) == (1, {1: "buffer full"})


@pytest.mark.parametrize(
    ("before", "said"), [(3, ""), (-1, ""), (4, "1 steps are lost"), (2, "1 steps too many")]
)
def test_steps_of_older_attempts_are_counted(tmp_path: Path, before: int, said: str) -> None:
    newer = replace(RUN, attempt=1, after_step=2, more={"steps_before": before})
    log = [record(RUN.started), *RUN.step(0), record(gap(1)), *RUN.step(2), *RUN.step(3)[:2]]
    archive(tmp_path, [[*log, record(newer.started)]], segment_bytes=1)
    found = [fault.what for fault in verify_run(tmp_path / "fake").faults]
    assert [said in what for what in found] == [True] * bool(said)


def test_nothing_is_lost_while_a_partition_has_not_come_to_the_newest_attempt(tmp_path: Path) -> None:
    old, newer = (replace(RUN, partitions=2, attempt=n) for n in (0, 1))
    newer = replace(newer, after_step=3, more={"steps_before": 4})
    logs = old.logs(range(4), None)
    tails = newer.logs(range(4, 6))
    archive(tmp_path, [logs[0] + tails[0], logs[1][: TILES + 2]])
    assert verified(tmp_path).steps == 4
    archive(tmp_path, [logs[0] + tails[0], logs[1] + tails[1]])
    assert (verified(tmp_path).steps, verified(tmp_path).status) == (6, "completed")


def test_what_a_zombie_sends_is_superseded_and_tears_nothing(tmp_path: Path) -> None:
    newer = replace(RUN, attempt=1, after_step=0, more={"steps_before": 1})
    zombie = [
        *RUN.step(1)[2:],
        record(gap(2)),
        record(steered("late")),
        *RUN.step(3),
        record(RUN.ended(range(4))),
    ]
    new = newer.logs(range(1, 4))[0]
    mixed = [one for pair in zip(new[1:], zombie + zombie, strict=False) for one in pair]
    rest = new[1 + len(mixed) // 2 :]
    archive(tmp_path, [[record(RUN.started), *RUN.step(0), *RUN.step(1)[:2], new[0], *mixed, *rest]])
    result = verified(tmp_path)
    assert (result.steps, result.gaps, result.steered, result.status) == (4, (), 0, "completed")
    assert result.offsets["superseded"] == 2 + len(mixed) // 2
    assert result.offsets["quarantined"] == 0


@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_commands_are_kept_once_and_shown(tmp_path: Path, on_end: str) -> None:
    run = replace(RUN, partitions=2)
    first, second = steered("a"), steered("b", step=-1, refused="there is no model.F", old=None, new=True)
    logs = run.logs(range(4), None)
    ends = [record(first), record(first), record(second), record(run.ended(range(4)))]
    archive(tmp_path, [log + ends for log in logs], on_end=on_end, segment_bytes=1)
    result = verified(tmp_path)
    assert (result.steered, result.offsets["duplicate"]) == (2, 2)
    assert describe(tmp_path / "fake").steered == (first, second)
    with h5py.File(tmp_path / "fake" / "run.h5") as file:
        table = file["lockstream/steering"]
        assert table["id"].asstr()[()].tolist() == ["a", "b"]
        assert table["step"][()].tolist() == [3, -1]
        assert [msgspec.json.decode(text) for text in table["new"].asstr()[()]] == ["x\u2028", True]
    with open_run(tmp_path) as data:
        assert data.sizes["step"] == 4


def test_a_command_told_otherwise_is_quarantined_also_after_a_restart(tmp_path: Path) -> None:
    log = [record(RUN.started), record(steered("a"))]
    archive(tmp_path, [log])
    archive(tmp_path, [[*log, record(steered("a", new=1)), record(steered("a"))]])
    assert outcomes(tmp_path)[1:] == [Outcome.CONTROL, Outcome.QUARANTINED, Outcome.DUPLICATE]


@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_a_command_that_was_changed_in_the_archive_is_found(tmp_path: Path, on_end: str) -> None:
    log = [record(RUN.started), *RUN.step(0), record(steered("a")), record(RUN.ended([0]))]
    archive(tmp_path, [log], on_end=on_end)
    (path,) = [*(tmp_path / "fake").glob("segments/*.h5")] or [tmp_path / "fake" / "run.h5"]
    with h5py.File(path, "r+") as file:
        file["lockstream/steering/who"][0] = "mal@node-1"
    assert any(
        "command a is not what was written" in fault.what for fault in verify_run(tmp_path / "fake").faults
    )
    with h5py.File(path, "r+") as file:
        del file["lockstream/steering"]
    assert any("commands are in the file" in fault.what for fault in verify_run(tmp_path / "fake").faults)


@dataclass
class Model:
    """The log of each partition, and what it says, worked out beside it."""

    logs: list[Log]
    runs: list[FakeRun] = field(default_factory=list)
    stale: set[tuple[int, int]] = field(default_factory=set)  # partition and offset
    whole: set[tuple[int, int]] = field(default_factory=set)  # attempt and step
    gaps: set[tuple[int, int]] = field(default_factory=set)
    commands: set[tuple[int, str]] = field(default_factory=set)  # attempt and id
    published: list[int] = field(default_factory=list)

    def note(self, item: Log) -> None:
        """Take in an item that is whole before the next attempt began."""
        message = decode(*item[-1])
        if isinstance(message, Manifest):
            self.whole.add((message.attempt, message.step))
        elif isinstance(message, Gap):
            self.gaps.add((message.attempt, message.step))
        elif isinstance(message, Steered):
            self.commands.add((message.attempt, message.id))

    def kept(self, steps: set[tuple[int, int]]) -> dict[int, FakeRun]:
        """The steps that no newer attempt has replaced, and whose they are."""
        return {
            step: self.runs[attempt]
            for attempt, step in steps
            if all(step <= newer.after_step for newer in self.runs[attempt + 1 :])
        }


def sent(chance: random.Random, items: list[Log], stop: int) -> Log:
    """Records up to `stop` of a publisher that dies twice at most and then repeats whole items."""
    flat, log, begin = joined(items), [], 0
    starts = [len(joined(items[:n])) for n in range(len(items))]
    for _ in range(chance.choice([0, 1, 2])):
        cut = chance.randrange(begin, stop + 1)
        log += flat[begin:cut]
        begin = chance.choice([start for start in starts if start <= cut])
    return (log + flat[begin:stop]) if log else flat[:stop]


def drawn(seed: int) -> Model:
    """Two or three attempts; each may be cut off anywhere, and goes on sending when the next one has begun."""
    chance = random.Random(seed)  # noqa: S311
    partitions, attempts = chance.choice([1, 2, 3]), chance.choice([2, 3])
    model = Model([[] for _ in range(partitions)])
    zombies: list[Log] = [[] for _ in range(partitions)]
    for attempt in range(attempts):
        after = chance.choice([-1, *model.published]) if attempt else -1
        model.published = [step for step in model.published if step <= after]
        more = {"steps_before": len(model.published)} if attempt else {}
        run = FakeRun(partitions=partitions, attempt=attempt, after_step=after, more=more)
        model.runs.append(run)
        steps = range(after + 1, after + 1 + chance.randrange(1, 6))
        model.published += steps
        gaps = {step for step in steps if chance.random() < 0.2}
        is_whole = attempt == attempts - 1 or chance.random() < 0.4
        for partition, items in enumerate(items_of(run, steps, gaps)):
            flat, log = joined(items), model.logs[partition]
            stop = len(flat) if is_whole else chance.randrange(1, len(flat) + 1)
            for number, one in enumerate(sent(chance, items, stop)):
                while number and zombies[partition] and chance.random() < 0.3:
                    model.stale.add((partition, len(log)))
                    log.append(zombies[partition].pop(0))
                log.append(one)
            for number in range(len(items)):
                if len(joined(items[: number + 1])) <= stop:
                    model.note(items[number])
            zombies[partition] += flat[stop:]
    return model


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32))
def test_attempts_zombies_and_crashes_in_any_order(seed: int) -> None:
    model, chance = drawn(seed), random.Random(seed)  # noqa: S311
    how = {"segment_bytes": chance.choice([1, 300, 1 << 30]), "on_end": chance.choice(["links", "merge"])}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(chance.randrange(3)):  # the archiver is stopped somewhere, too
            archive(folder, [log[: chance.randrange(len(log) + 1)] for log in model.logs], **how)
        archive(folder, model.logs, **how)
        assert_like_the_model(folder, model)
        merge_run(folder / "fake")
        assert_like_the_model(folder, model)


def assert_like_the_model(folder: Path, model: Model) -> None:
    view, result, newest = view_run(folder / "fake"), verify_run(folder / "fake"), model.runs[-1]
    steps, gaps = model.kept(model.whole), model.kept(model.gaps)
    lost = newest.started.steps_before - sum(run is not newest for run in [*steps.values(), *gaps.values()])
    assert [f"{lost} steps are lost" in fault.what for fault in result.faults] == [True] * bool(lost)
    assert view.steps.tolist() == sorted(steps)
    assert result.gaps == tuple(sorted(gaps))
    assert {(command.attempt, command.id) for command in view.steered} == model.commands
    with open_run(folder) as data:
        for row, step in enumerate(view.steps.tolist()):
            assert data["u"][row].values.tobytes() == steps[step].array("u", step).tobytes()
    fates = {(e.partition, o): e.outcome for e in ledger_of(view) for o in range(e.first, e.stop)}
    assert len(fates) == sum(result.offsets.values()) == sum(map(len, model.logs))
    assert {fates[key] for key in model.stale} <= {Outcome.SUPERSEDED}
    assert result.offsets["quarantined"] == 0


def test_gaps_and_commands_are_told_on_the_command_line(tmp_path: Path) -> None:
    gaps = [record(gap(step)) for step in (1, 2, 3, 5)]
    told = [record(steered("a")), record(steered("b", refused="there is no model.F"))]
    log = [record(RUN.started), *RUN.step(0), *gaps, *told, record(RUN.ended([0, 1, 2, 3, 5]))]
    archive(tmp_path, [log])
    checked = run(LOCKSTREAM, "archive", "verify", tmp_path, timeout=60)
    assert checked.returncode == 0
    assert "4 steps were dropped by the producer: 1..3, 5\n" in checked.stdout
    shown = run(LOCKSTREAM, "archive", "show", tmp_path, timeout=60).stdout
    assert "steps 1..3, 5 (buffer full)" in shown
    assert "attempt 0, step 3: set model.F by eva@node-1, 0.5 -> x" in shown
    assert "refused: there is no model.F" in shown
    (described,) = msgspec.json.decode(
        run(LOCKSTREAM, "archive", "show", "--json", tmp_path, timeout=60).stdout
    )
    assert [described["gaps"], *described["gap_steps"]] == [4, "1", "2", "3", "5"]
    assert [command["id"] for command in described["steered"]] == ["a", "b"]


def test_the_terminal_hears_of_each_command_once_and_of_the_gaps() -> None:
    out, offset = StringIO(), count()
    report = terminal_report(out)
    for _partition in range(2):
        assembler = StepAssembler("fake")
        for message in (RUN.started, gap(1), steered("a", command="pause"), RUN.ended([1])):
            for event in assembler.feed(next(offset), *record(message)):
                report("fake", event)
    lines = out.getvalue().splitlines()
    assert [line for line in lines if "pause" in line] == ["fake: step 3: pause model.F by eva@node-1, done"]
    assert lines[-1] == "fake: completed, 0 steps archived, 2 dropped"
