"""What a spool holds, and whether it is sound; nothing is changed, and nobody who writes it is disturbed."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lockstream.bridge.errors import SpoolDamaged, WireError
from lockstream.bridge.messages import Tile
from lockstream.bridge.spool_folder import held_by, read_about, segment_paths
from lockstream.bridge.spool_format import DATA_OFFSET, SpoolRecord
from lockstream.bridge.spool_segment import Segment
from lockstream.bridge.wire import decode, verify_tile


class SpoolReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `describe_spool` and `verify_spool` found.

    Parameters
    ----------
    run, folder
        Which.
    items, bytes, files
        How much there is; bytes of whole items' files.
    first_seq, last_seq
        Numbers of the first and last item; -1 without items.
    attempts, steps
        First and last one among the items looked at: all for `verify_spool`, else the first and the last one;
        empty if none has any.
    oldest
        When the oldest file was last written, ISO 8601, UTC; empty without items.
    held_by
        The process that uses the spool now; empty if none does.
    unfinished_bytes
        What lies behind the last whole item: being written, or torn.
    faults
        What is wrong, one sentence each.
    """

    run: str
    folder: str
    items: int = 0
    bytes: int = 0
    files: int = 0
    first_seq: int = -1
    last_seq: int = -1
    attempts: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    oldest: str = ""
    held_by: str = ""
    unfinished_bytes: int = 0
    faults: tuple[str, ...] = ()


def describe_spool(folder: Path) -> SpoolReport:
    """Say what is in a spool; only its first and last items are read."""
    segments, faults = _segments(folder)
    numbers = _Numbers()
    try:
        if segments:
            first, last = segments[0], segments[-1]
            numbers.take(_first_record(first, first.first))
            numbers.take(_first_record(last, last.next - 1))
    except SpoolDamaged as fault:
        faults.append(str(fault))
    except FileNotFoundError:
        pass  # delivered and deleted meanwhile
    return _report(folder, segments, numbers, faults)


def verify_spool(folder: Path) -> SpoolReport:
    """Read every byte of a spool, compare the checksums, and decode every record."""
    segments, faults = _segments(folder)
    numbers, run = _Numbers(), _run_of(folder)
    for segment in segments:
        with suppress(FileNotFoundError):  # delivered and deleted meanwhile
            faults += _faults_of(segment, run, numbers)
    return _report(folder, segments, numbers, faults)


class _Numbers:
    """First and last attempt and step among records."""

    def __init__(self) -> None:
        self.attempts: tuple[int, ...] = ()
        self.steps: tuple[int, ...] = ()

    def take(self, record: SpoolRecord) -> None:
        headers = dict(record.headers)
        self.attempts = _stretched(self.attempts, headers.get("attempt", b""))
        self.steps = _stretched(self.steps, headers.get("step", b""))


def _first_record(segment: Segment, seq: int) -> SpoolRecord:
    """Return the first record of an item; its value is at most a tile's."""
    reading = segment.read(seq, segment.offset_of(seq))
    record = next(reading)[0]
    reading.close()
    return record if record is not None else SpoolRecord(seq, 0, [], b"")


def _stretched(ends: tuple[int, ...], text: bytes) -> tuple[int, ...]:
    if not text.isdigit() or len(text) > 18:
        return ends
    number = int(text)
    return (min([*ends, number]), max([*ends, number]))


def _segments(folder: Path) -> tuple[list[Segment], list[str]]:
    """Open the files; one that cannot be understood is a fault."""
    segments: list[Segment] = []
    faults = []
    for path in segment_paths(folder):
        try:
            segment = _opened(path)
        except FileNotFoundError:
            continue  # delivered and deleted meanwhile
        except SpoolDamaged as fault:
            faults.append(str(fault))
            continue
        if segments and segment.first < segments[-1].next:
            faults.append(f"{path}: item {segment.first} is in the file before as well")
        elif segment.items:
            segments.append(segment)
    return segments, faults


def _opened(path: Path) -> Segment:
    """Open a file; what looks damaged may have been written at that very moment, and is looked at again."""
    try:
        return Segment.open(path)
    except SpoolDamaged:
        return Segment.open(path)


def _faults_of(segment: Segment, run: str, numbers: _Numbers) -> Iterator[str]:
    """Read a file from end to end; the first byte that is wrong ends it, a record that is wrong does not."""
    offset = DATA_OFFSET
    try:
        for seq in range(segment.first, segment.next):
            for record, after in segment.read(seq, offset):
                if record is not None and (problem := _problem(record, run)):
                    yield f"{segment.path}, byte {offset}: {problem}"
                if record is not None:
                    numbers.take(record)
                offset = after
    except SpoolDamaged as fault:
        yield str(fault)


def _problem(record: SpoolRecord, run: str) -> str:
    try:
        message = decode(record.headers, record.value)
        if isinstance(message, Tile):
            verify_tile(message)
    except WireError as error:
        return f"a record of item {record.seq} does not decode: {error}"
    return f"a record of item {record.seq} is of run {message.run!r}" if message.run != run else ""


def _run_of(folder: Path) -> str:
    about = read_about(folder)
    return about.run if about is not None else ""


def _report(folder: Path, segments: list[Segment], numbers: _Numbers, faults: list[str]) -> SpoolReport:
    unfinished, oldest = 0, ""
    for number, segment in enumerate(segments):
        with suppress(FileNotFoundError):
            unfinished += segment.length() - segment.size
            if number == 0:
                written = segment.path.stat().st_mtime
                oldest = datetime.fromtimestamp(written, UTC).isoformat(timespec="seconds")
    return SpoolReport(
        run=_run_of(folder),
        folder=str(folder),
        items=sum(segment.items for segment in segments),
        bytes=sum(segment.size for segment in segments),
        files=len(segments),
        first_seq=segments[0].first if segments else -1,
        last_seq=segments[-1].next - 1 if segments else -1,
        attempts=numbers.attempts,
        steps=numbers.steps,
        oldest=oldest,
        held_by=held_by(folder),
        unfinished_bytes=unfinished,
        faults=tuple(faults),
    )
