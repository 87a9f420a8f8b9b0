"""What the log of a run holds of each attempt, as its archive's ledger tells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

from lockstream.cli.bridge_run import Counts
from lockstream.kafka.archive.account import GROUP
from lockstream.kafka.archive.against_kafka import digests_of
from lockstream.kafka.archive.ledger import Outcome
from lockstream.kafka.archive.recovery import open_sealed
from lockstream.kafka.archive.view import ledger_of, view_run

_WHOLE = (Outcome.ARCHIVED, Outcome.SUPERSEDED, Outcome.DUPLICATE)


class Likeness(IntEnum):
    """How much of two runs is the same, bit for bit."""

    NONE = 0
    FIELDS = 1
    WHOLE = 2


@dataclass(frozen=True, slots=True)
class RunLog:
    """What came of the steps of a run.

    Parameters
    ----------
    digests
        Of each step that counts, by its number: over its fields, time and diagnostics.
    checksums
        Of its fields alone: CRC-32C of each tile.
    in_log
        Number of different steps that came whole, by attempt.
    """

    digests: Mapping[int, str]
    checksums: Mapping[int, tuple[int, ...]]
    in_log: Mapping[int, int]

    @property
    def superseded(self) -> int:
        """Steps that a later attempt published again."""
        return sum(self.in_log.values()) - len(self.digests)

    def likeness(self, reference: "RunLog") -> Likeness:
        """Compare every step with that of another run."""
        if self.digests.items() <= reference.digests.items():
            return Likeness.WHOLE
        return Likeness.FIELDS if self.checksums.items() <= reference.checksums.items() else Likeness.NONE

    def shortfalls(self, counts: Sequence[Counts | None]) -> list[str]:
        """Say which attempts had more steps accepted than the log has."""
        return [
            f"attempt {attempt}: {count.accepted} steps were accepted, {count.dropped} of them dropped, and "
            f"{self.in_log.get(attempt, 0)} are in the log"
            for attempt, count in enumerate(counts)
            if count is not None and count.accepted - count.dropped > self.in_log.get(attempt, 0)
        ]


def read_log(run_folder: Path) -> RunLog:
    """Read a run's archive."""
    view = view_run(run_folder)
    all_digests = digests_of(view)
    of_files = [_checksums(sealed.path) if len(sealed.steps) else np.empty((0, 0)) for sealed in view.files]
    digests, checksums = {}, {}
    for file, row, step in zip(view.file.tolist(), view.row.tolist(), view.steps.tolist(), strict=True):
        digests[step] = all_digests[int(view.files[file].attempts[row]), step]
        checksums[step] = tuple(of_files[file][row].tolist())
    whole = {(e.attempt, e.step) for e in ledger_of(view) if e.outcome in _WHOLE and e.step >= 0}
    return RunLog(digests, checksums, Counter(attempt for attempt, _ in whole))


def _checksums(path: Path) -> np.ndarray[Any, Any]:
    """Return the checksums of a sealed file, (steps, tiles of all fields)."""
    with open_sealed(path) as file:
        group = file[f"{GROUP}/crc32c"]
        return np.concatenate(
            [group[name][()].reshape(len(group[name]), -1) for name in sorted(group)], axis=1
        )
