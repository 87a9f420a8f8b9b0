"""What became of every offset of the log: pure bookkeeping.

The invariant of the archive: every offset ends in exactly one class. A ledger is a list of entries, each a
run of consecutive offsets of one partition with the same fate.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np


class Outcome(IntEnum):
    """The classes of offsets."""

    ARCHIVED = 1
    CONTROL = 2
    DUPLICATE = 3
    QUARANTINED = 4
    SUPERSEDED = 5


class Entry(NamedTuple):
    """Consecutive offsets with one fate.

    Parameters
    ----------
    partition, first, stop
        Which offsets: first, first + 1, … up to but not including stop.
    outcome
        What became of them.
    attempt, step
        Whose records they were; -1 where that has no meaning.
    reason
        Why it was quarantined, or why the producer dropped the step.
    """

    partition: int
    first: int
    stop: int
    outcome: Outcome
    attempt: int = -1
    step: int = -1
    reason: str = ""


DTYPE = np.dtype(
    [
        ("partition", "<i4"),
        ("first", "<i8"),
        ("stop", "<i8"),
        ("outcome", "u1"),
        ("attempt", "<i4"),
        ("step", "<i8"),
    ]
)


def entries_of(
    partition: int,
    offsets: Iterable[int],
    outcome: Outcome,
    *,
    attempt: int = -1,
    step: int = -1,
    reason: str = "",
) -> Iterator[Entry]:
    """Yield an entry for each run of consecutive offsets."""
    first = last = -1
    for offset in offsets:
        if first >= 0 and offset != last + 1:
            yield Entry(partition, first, last + 1, outcome, attempt, step, reason)
            first = offset
        first, last = (offset if first < 0 else first), offset
    if first >= 0:
        yield Entry(partition, first, last + 1, outcome, attempt, step, reason)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sort by partition and offset, joining neighbours that tell the same."""
    joined: list[Entry] = []
    for entry in sorted(entries):
        last = joined[-1] if joined else None
        if last and last.stop == entry.first and last[3:] == entry[3:] and last.partition == entry.partition:
            joined[-1] = last._replace(stop=entry.stop)
        else:
            joined.append(entry)
    return joined


def breaks(entries: Iterable[Entry], first: dict[int, int], stop: dict[int, int]) -> list[str]:
    """Say where the entries fail to account for each offset exactly once.

    Parameters
    ----------
    entries
        In any order.
    first, stop
        Per partition the range ``[first, stop)`` that must be accounted for.

    Returns
    -------
    list of str
        A sentence per hole or overlap; empty if there are none.
    """
    faults = []
    reached = dict(first)
    for entry in sorted(entries):
        expected = reached.get(entry.partition)
        if expected is None or entry.stop <= entry.first:
            faults.append(f"partition {entry.partition}: an entry at offset {entry.first} makes no sense")
            continue
        if entry.first > expected:
            faults.append(
                f"partition {entry.partition}: offsets {expected}..{entry.first - 1} are unaccounted for"
            )
        elif entry.first < expected:
            faults.append(f"partition {entry.partition}: offsets from {entry.first} are accounted for twice")
        reached[entry.partition] = max(expected, entry.stop)
    for partition, end in stop.items():
        if reached.get(partition, -1) != end:
            faults.append(
                f"partition {partition}: the ledger reaches {reached.get(partition)}, it should reach {end}"
            )
    return faults
