"""Whether an archive has as many steps as the producers say: what no single file can show."""

from collections.abc import Iterator

from lockstream.bridge.messages import RunStarted
from lockstream.kafka.archive.ledger import Entry, Outcome
from lockstream.kafka.archive.view import RunView


def missing_steps(view: RunView, entries: list[Entry]) -> str:
    """Say how many steps are missing of those that ``run-ended`` counts; empty if none are."""
    if (ended := view.ended) is None:
        return ""
    archived = sum(int((file.attempts == ended.attempt).sum()) for file in view.files)
    dropped = sum(1 for attempt, _ in gaps_in(entries) if attempt == ended.attempt)
    if (missing := ended.steps - archived - dropped) <= 0:
        return ""
    return (
        f"{missing} steps are lost: run-ended counts {ended.steps} of attempt {ended.attempt}, {archived} are archived "
        f"and {dropped} were dropped; 'lockstream archive quarantine list' shows what came of them"
    )


def missing_before(view: RunView, entries: list[Entry]) -> str:
    """Say how many steps of older attempts are missing up to where the newest began; empty if none are.

    What they published beyond that is of no use any more, archived or not. Nothing can be said while a
    partition has not come to the newest attempt: older steps may stand before that.
    """
    newest = view.newest
    if newest is None or newest.steps_before < 0 or not _have_all_reached(view, newest):
        return ""
    archived = sum(1 for attempt, _ in _shown(view) if attempt < newest.attempt)
    dropped = sum(1 for attempt, _ in gaps_in(entries) if attempt < newest.attempt)
    if archived + dropped == newest.steps_before:
        return ""
    missing = newest.steps_before - archived - dropped
    what = f"{missing} steps are lost" if missing > 0 else f"{-missing} steps too many"
    return (
        f"{what} up to step {newest.after_step}: attempt {newest.attempt} says that those before it published "
        f"{newest.steps_before}, {archived} are archived and {dropped} were dropped"
    )


def _have_all_reached(view: RunView, newest: RunStarted) -> bool:
    """Whether all partitions have come to an attempt."""
    positions = [position for file in view.files for position in file.account.positions]
    reached = {p.partition for p in positions if p.started and p.started.attempt == newest.attempt}
    return len(reached) >= newest.partitions


def gaps_in(entries: list[Entry]) -> set[tuple[int, int]]:
    """Attempt and step of all gaps that no newer attempt has replaced."""
    return {(e.attempt, e.step) for e in entries if e.outcome is Outcome.CONTROL and e.step >= 0}


def archived_in(view: RunView) -> set[tuple[int, int]]:
    """Attempt and step of all that is in the files."""
    return {
        key for file in view.files for key in zip(file.attempts.tolist(), file.steps.tolist(), strict=True)
    }


def _shown(view: RunView) -> Iterator[tuple[int, int]]:
    """Attempt and step of what the view shows."""
    for step, file, row in zip(view.steps.tolist(), view.file.tolist(), view.row.tolist(), strict=True):
        yield int(view.files[file].attempts[row]), step
