"""Spools for tests: small items, and what must come out again."""

from collections.abc import Iterable
from pathlib import Path

from lockstream.bridge.messages import run_topic
from lockstream.bridge.spool import ROLL_BYTES, Spool
from lockstream.bridge.spool_folder import SpoolAbout
from lockstream.bridge.spool_format import OutRecord, SpoolRecord
from support.runs import FakeRun

ROOM = 1 << 30


def about(run: str = "fake", partitions: int = 1) -> SpoolAbout:
    return SpoolAbout(run=run, topic=run_topic(run), partitions=partitions, replication=1)


def opened(folder: Path, limit: int = ROOM, roll_bytes: int = ROLL_BYTES) -> Spool:
    return Spool(folder, limit, about(), roll_bytes=roll_bytes)


def item(seq: int, records: int = 2) -> list[OutRecord]:
    """An item whose bytes say which one it is."""
    return [
        (n % 3, [("n", b"%d" % n), ("empty", b"")], b"item %d record %d" % (seq, n)) for n in range(records)
    ]


def expected(seqs: Iterable[int], records: int = 2) -> list[SpoolRecord]:
    return [SpoolRecord(seq, p, h, bytes(v)) for seq in seqs for p, h, v in item(seq, records)]


def items_of(source: FakeRun, steps: Iterable[int], *, is_ended: bool = True) -> list[list[OutRecord]]:
    """A run as the items that its publisher would have made: the n-th step goes to partition n mod partitions."""
    steps = list(steps)
    starts = [(p, *log[0]) for p, log in enumerate(source.logs([], None))]
    ends = [(p, *log[-1]) for p, log in enumerate(source.logs(steps, "completed"))]
    middle = [[(n % source.partitions, *r) for r in source.step(step)] for n, step in enumerate(steps)]
    return [starts, *middle, *([ends] if is_ended else [])]


def spool_run(folder: Path, source: FakeRun, steps: Iterable[int], *, roll_bytes: int = ROLL_BYTES) -> int:
    """Spool a whole run, and return how many items that are."""
    items = items_of(source, steps)
    with Spool(folder, ROOM, about(source.run, source.partitions), roll_bytes=roll_bytes) as spool:
        for seq, records in enumerate(items):
            spool.append(seq, records)
    return len(items)
