"""One partition from records to sealed segments, without Kafka: when it seals, and what a new archiver finds."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.runs import JUNK, TWO_FIELDS, FakeRun, Log, record

from lockstream.bridge.messages import Field, Gap
from lockstream.kafka.archive import partition as partition_module
from lockstream.kafka.archive.account import Account, Source, read_account, read_ledger
from lockstream.kafka.archive.layout import segment_path, segment_paths
from lockstream.kafka.archive.ledger import Entry, Outcome
from lockstream.kafka.archive.partition import PartitionArchiver
from lockstream.kafka.archive.recovery import account_of, open_sealed
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.verify import verify_file
from lockstream.kafka.archive.view import read_sealed
from lockstream.kafka.errors import ArchiveDamaged, ArchiveRefused
from lockstream.kafka.events import Event

SOURCE = Source("fake", "lockstream.run.fake", "topic-1", "cluster-1")
RUN = FakeRun(fields=TWO_FIELDS)
STEP_BYTES = RUN.started.step_bytes
TILES = len(RUN.tiles(0))


def archiver(folder: Path, source: Source = SOURCE, **settings: Any) -> PartitionArchiver:
    folder.mkdir(exist_ok=True)
    return PartitionArchiver(folder, source, 0, ArchiveSettings(**settings))


def take(archiver: PartitionArchiver, log: Log, first: int = 0, stop: int | None = None) -> list[Event]:
    """Archive the records ``[first, stop)`` of a log that begins at offset 0."""
    stop = len(log) if stop is None else stop
    return [event for offset in range(first, stop) for event in archiver.take(offset, *log[offset])]


def steps_of(folder: Path) -> list[list[int]]:
    return [read_sealed(path).steps.tolist() for path in segment_paths(folder)]


def assert_verified(folder: Path) -> None:
    assert [fault for path in segment_paths(folder) for fault in verify_file(read_sealed(path))] == []


def contents(folder: Path) -> dict[int, tuple[bytes, ...]]:
    """Per step everything that an archive says about it, whichever segment it is in."""
    found: dict[int, tuple[bytes, ...]] = {}
    for path in segment_paths(folder):
        with open_sealed(path) as file:
            names = ["u", "n", "time", "mass", "lost", "lockstream/digest", "lockstream/attempt"]
            for row, step in enumerate(file["step"][()].tolist() if "step" in file else []):
                assert step not in found
                found[step] = tuple(file[name][row].tobytes() for name in names if name in file)
    return found


def ledger(folder: Path) -> list[Entry]:
    entries = []
    for path in segment_paths(folder):
        with open_sealed(path) as file:
            entries += read_ledger(file)
    return entries


def test_a_segment_is_sealed_when_it_is_large_enough(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(5), None)
    with archiver(tmp_path, segment_bytes=2 * STEP_BYTES) as one:
        take(one, log)
        assert steps_of(tmp_path) == [[0, 1], [2, 3]]
        assert one.sealed.next_offset == 1 + 4 * (TILES + 1)
        one.seal()
    assert steps_of(tmp_path) == [[0, 1], [2, 3], [4]]
    assert_verified(tmp_path)


def test_a_segment_is_sealed_when_it_is_old_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (log,) = RUN.logs(range(2), None)
    with archiver(tmp_path, segment_seconds=30) as one:
        take(one, log)
        one.seal_if_due()
        assert steps_of(tmp_path) == []
        now = partition_module.monotonic()
        monkeypatch.setattr(partition_module, "monotonic", lambda: now + 31)
        one.seal_if_due()
        assert steps_of(tmp_path) == [[0, 1]]
        one.seal_if_due()
        assert len(segment_paths(tmp_path)) == 1


def test_the_end_is_sealed_at_once(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(2))
    with archiver(tmp_path) as one:
        take(one, log, stop=len(log) - 1)
        assert not one.has_ended
        take(one, log, len(log) - 1)
        assert one.has_ended
    with archiver(tmp_path) as again:
        assert again.has_ended
        assert again.next_offset == len(log)


def test_a_segment_holds_one_attempt(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(3), None)
    newer = FakeRun(fields=TWO_FIELDS, attempt=1, after_step=0)
    log += [record(newer.started), *newer.step(1), record(newer.ended([1]))]
    with archiver(tmp_path) as one:
        take(one, log)
    assert steps_of(tmp_path) == [[0, 1, 2], [1]]
    assert [started.attempt for path in segment_paths(tmp_path) for started in account_of(path).attempts] == [
        0,
        1,
    ]
    assert_verified(tmp_path)


def test_nothing_but_junk_is_accounted_for_too(tmp_path: Path) -> None:
    with archiver(tmp_path) as one:
        take(one, [JUNK] * 3)
        one.seal()
        (log,) = RUN.logs(range(1))
        take(one, [JUNK] * 3 + log, 3)
    assert steps_of(tmp_path) == [[], [0]]
    assert_verified(tmp_path)


def test_what_is_not_complete_is_not_sealed(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(1), None)
    log = [*log[:3], JUNK, *log[3:]]
    with archiver(tmp_path) as one:
        take(one, log, stop=6)
        one.seal()
        assert one.sealed.next_offset == 1
        one.seal()
    assert len(segment_paths(tmp_path)) == 1
    with archiver(tmp_path) as again:
        assert again.next_offset == 1
        take(again, log, 1)
        again.seal()
    outcomes = [(e.first, e.stop, e.outcome) for e in ledger(tmp_path)]
    assert outcomes == [
        (0, 1, Outcome.CONTROL),
        (1, 3, Outcome.ARCHIVED),
        (3, 4, Outcome.QUARANTINED),
        (4, TILES + 3, Outcome.ARCHIVED),
    ]
    assert contents(tmp_path)[0][0] == RUN.array("u", 0).tobytes()


def test_markers_between_the_records_are_accounted_for(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(2))
    with archiver(tmp_path) as one:
        for number, one_record in enumerate(log):
            list(one.take(2 * number + 1, *one_record))
    entries = ledger(tmp_path)
    covered = sorted(offset for e in entries for offset in range(e.first, e.stop))
    assert covered == list(range(2 * len(log)))
    assert_verified(tmp_path)


def bent_log() -> Log:
    """All that a log can hold: junk inside a step, duplicates, a torn step, a gap, two attempts, a late end."""
    newer = FakeRun(fields=TWO_FIELDS, attempt=1, after_step=1)
    a, b, c, d = (RUN.step(n) for n in (0, 1, 3, 4))
    return [
        *[record(RUN.started), *a[:2], JUNK, a[0], *a[2:], record(RUN.started)],
        *[record(Gap(run="fake", step=2, reason="full\n")), *b[:-2], *c, *a, *d[:3]],
        *[record(newer.started), *d[3:], record(RUN.ended()), *newer.step(2), *newer.step(3)],
        *[record(newer.ended([2, 3])), JUNK],
    ]


@pytest.mark.parametrize(("segment_bytes", "every"), [(1, 4), (2 * STEP_BYTES, 1), (1 << 30, 4)])
def test_dying_at_any_record_changes_nothing(tmp_path: Path, segment_bytes: int, every: int) -> None:
    log = bent_log()
    with archiver(tmp_path / "whole", segment_bytes=segment_bytes) as one:
        take(one, log)
        one.seal()
    expected = contents_of_all(tmp_path / "whole")
    for cut in range(1, len(log), every):
        folder = tmp_path / f"cut{cut}"
        with archiver(folder, segment_bytes=segment_bytes) as one:
            take(one, log, stop=cut)
            if cut % 3 == 0:
                one.seal()
        assert not list(folder.glob("segments/*.tmp"))
        with archiver(folder, segment_bytes=segment_bytes) as one:
            assert one.next_offset <= cut
            take(one, log, one.next_offset)
            one.seal()
            assert one.has_ended
        assert contents_of_all(folder) == expected, cut
        assert_verified(folder)


def contents_of_all(folder: Path) -> tuple[list[Any], list[Any]]:
    """Rows in order with all their bytes, and the fate of each offset."""
    rows = []
    for path in segment_paths(folder):
        with open_sealed(path) as file:
            for row in range(len(file["step"]) if "step" in file else 0):
                names = ("step", "u", "n", "time", "mass", "lockstream/digest", "lockstream/attempt")
                rows.append([file[name][row].tobytes() for name in names])
    fates = [(offset, *e[3:]) for e in ledger(folder) for offset in range(e.first, e.stop)]
    return rows, sorted(fates)


def test_a_repeated_step_is_compared_with_what_was_sealed(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(3), None)
    other = FakeRun(fields=TWO_FIELDS, seed=1)
    for settings in ({"segment_bytes": 1}, {}):
        folder = tmp_path / str(len(settings))
        with archiver(folder, **settings) as one:
            take(one, [*log, *RUN.step(1), *other.step(1), *RUN.step(2)])
            one.seal()
        fates = {e.first: e.outcome for e in ledger(folder) if e.first >= len(log)}
        assert fates == {
            len(log): Outcome.DUPLICATE,
            len(log) + TILES + 1: Outcome.QUARANTINED,
            len(log) + 2 * (TILES + 1): Outcome.DUPLICATE,
        }
        assert sorted(contents(folder)) == [0, 1, 2]


def test_a_flood_of_faults_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_module, "MAX_LEDGER", 10)
    with archiver(tmp_path) as one:
        take(one, [JUNK] * 35)
        assert one.sealed.next_offset == 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"topic_id": "topic-2"}, "made again"), ({"cluster_id": "cluster-2"}, "cluster cluster-2")],
)
def test_another_log_is_refused(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    (log,) = RUN.logs(range(1), None)
    with archiver(tmp_path) as one:
        take(one, log)
        one.seal()
    with pytest.raises(ArchiveRefused, match=said):
        archiver(tmp_path, msgspec.structs.replace(SOURCE, **changes))
    with archiver(tmp_path) as one:
        assert one.next_offset == len(log)


def test_a_half_written_segment_is_not_trusted(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(2))
    leftover = segment_path(tmp_path, 0, 0).with_suffix(".h5.tmp")
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"\x89HDF half of something")
    with archiver(tmp_path) as one:
        assert not leftover.exists()
        assert one.next_offset == 0
        take(one, log)
    assert steps_of(tmp_path) == [[0, 1]]


def test_a_damaged_last_segment_is_named(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(2))
    with archiver(tmp_path) as one:
        take(one, log)
    (path,) = segment_paths(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArchiveDamaged, match=path.name):
        archiver(tmp_path)
    assert path.exists()


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(1))
    with archiver(tmp_path) as one:
        take(one, log)
    (path,) = segment_paths(tmp_path)
    import h5py

    with h5py.File(path, "r+") as file:
        account: Account = msgspec.structs.replace(read_account(file), format=2)
        del file["lockstream/account"]
        file["lockstream/account"] = msgspec.json.encode(account).decode()
    with pytest.raises(ArchiveDamaged, match="format 2"):
        archiver(tmp_path)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(13,), (5, 7), (3, 4, 5), (2, 3, 2, 3)])
def test_every_dtype_and_rank_bit_for_bit(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    run = FakeRun(fields=(Field("u", shape, dtype),), tile_bytes=64)
    (log,) = run.logs(range(2))
    with archiver(tmp_path) as one:
        take(one, log)
    (path,) = segment_paths(tmp_path)
    with open_sealed(path) as file:
        assert file["u"].dtype.newbyteorder("=") == np.dtype(dtype)
        for row in range(2):
            assert file["u"][row].tobytes() == run.array("u", row).tobytes()
    assert_verified(tmp_path)


EXTREME: list[dict[str, Any]] = [
    {"environment": {f"name-{n}": "value" for n in range(3000)}},
    {"configuration": {"text": "x" * 700_000, "number": 10**300, "nul": "a\0b", "deep": [[[[[{}]]]]]}},
    {"started": "\u2028\U0001f600" * 5000, "time_units": "", "after_step": 10**18 - 1},
    {"partitions": 2**31 - 1},
    {"attempt": 2**31 - 1},
]


@pytest.mark.parametrize("more", EXTREME)
def test_whatever_is_understood_can_be_archived(tmp_path: Path, more: dict[str, Any]) -> None:
    """A message that decodes and then cannot be written would stop the archiver at its offset for ever."""
    said = RUN.started
    extreme = record(msgspec.structs.replace(said, **({"attempt": 1} | more)))
    gap = record(Gap(run="fake", step=10**18 - 1, reason="\u2028" * 9999))
    late = record(
        msgspec.structs.replace(RUN.ended(), steps=10**18 - 1, reason="\n" * 9999, measured={"": 1e308})
    )
    log = [record(said), *RUN.step(0), gap, late, extreme, JUNK]
    with archiver(tmp_path) as one:
        take(one, log)
        one.seal()
    assert_verified(tmp_path)
    assert sum(e.stop - e.first for e in ledger(tmp_path)) == len(log)
    with archiver(tmp_path) as again:
        assert again.next_offset == len(log)


def test_reasons_with_anything_in_them_can_be_kept(tmp_path: Path) -> None:
    headers, value = record(RUN.ended())
    strange = (headers, value.replace(b'"completed"', b'"a\\u0000\\u2028\xf0\x9f\x98\x80"'))
    with archiver(tmp_path) as one:
        take(one, [record(RUN.started), strange])
        one.seal()
    assert [e.outcome for e in ledger(tmp_path)] == [Outcome.CONTROL, Outcome.QUARANTINED]
