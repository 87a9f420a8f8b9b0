"""What the log of a run holds of each attempt, as its archive's ledger tells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstream.cli.bridge_run import Counts
from lockstream.kafka.archive.against_kafka import digests_of
from lockstream.kafka.archive.ledger import Outcome
from lockstream.kafka.archive.view import ledger_of, view_run

_WHOLE = (Outcome.ARCHIVED, Outcome.SUPERSEDED, Outcome.DUPLICATE)


@dataclass(frozen=True, slots=True)
class RunLog:
    """What came of the steps of a run.

    Parameters
    ----------
    digests
        Of each step that counts, by its number.
    in_log
        Number of different steps that came whole, by attempt.
    """

    digests: Mapping[int, str]
    in_log: Mapping[int, int]

    @property
    def superseded(self) -> int:
        """Steps that a later attempt published again."""
        return sum(self.in_log.values()) - len(self.digests)

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
    places = zip(view.file.tolist(), view.row.tolist(), view.steps.tolist(), strict=True)
    keys = ((int(view.files[file].attempts[row]), step) for file, row, step in places)
    whole = {(e.attempt, e.step) for e in ledger_of(view) if e.outcome in _WHOLE and e.step >= 0}
    return RunLog(
        {step: all_digests[attempt, step] for attempt, step in keys},
        Counter(attempt for attempt, _ in whole),
    )
