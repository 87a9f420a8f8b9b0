"""What is to become of an event's offsets: the one place that decides what is new and what came before."""

from collections.abc import Sequence
from pathlib import Path

from lockstream.bridge.messages import Gap, Steered, TileRecord
from lockstream.kafka.archive.ledger import Entry, Outcome
from lockstream.kafka.archive.recovery import sealed_digest, sealed_gap, sealed_tiles
from lockstream.kafka.archive.segment import SegmentWriter
from lockstream.kafka.archive.steering import KnownCommands, checksum
from lockstream.kafka.events import (
    CommandDone,
    Dropped,
    DroppedAgain,
    Duplicate,
    Ended,
    Event,
    Fault,
    Repeated,
    Started,
    Step,
    TornAgain,
)

MAX_REASON = 300
Fate = tuple[Outcome, int, str]


class Fates:
    """Compares what comes with what one partition's archive has.

    Parameters
    ----------
    run_folder, partition, run
        Which archive.
    """

    def __init__(self, run_folder: Path, partition: int, run: str) -> None:
        self._run_folder, self._partition = run_folder, partition
        self._commands = KnownCommands(run_folder, partition, run)

    def of(self, event: Event, segment: SegmentWriter | None, ledger: Sequence[Entry]) -> Fate:
        """Which class the offsets of an event belong to, of which step, and why.

        Parameters
        ----------
        event
            What was understood.
        segment, ledger
            What is not sealed yet.
        """
        match event:
            case Repeated():
                return self._of_step(event, segment)
            case Step():
                return Outcome.ARCHIVED, event.manifest.step, ""
            case DroppedAgain():
                return self._of_gap(event.message, ledger)
            case Dropped():
                return Outcome.CONTROL, event.message.step, event.message.reason
            case CommandDone():
                return self._of_command(event.message)
            case Started() | Ended():
                return Outcome.CONTROL, -1, ""
            case TornAgain() if self._has_part(event, segment):
                return Outcome.DUPLICATE, event.step, ""
            case Fault():
                return Outcome.QUARANTINED, -1, event.reason
            case Duplicate():
                return Outcome.DUPLICATE, -1, ""
            case _:
                return Outcome.SUPERSEDED, -1, ""

    def _of_step(self, event: Repeated, segment: SegmentWriter | None) -> Fate:
        """Compare a step that is not beyond the last one with what was archived of it."""
        manifest, step = event.manifest, event.manifest.step
        known = self._digest_of(manifest.attempt, step, segment)
        if known == manifest.digest:
            return Outcome.DUPLICATE, step, ""
        if known:
            return Outcome.QUARANTINED, step, f"step {step} came again, with other contents"
        if step <= event.started.after_step:
            return (
                Outcome.QUARANTINED,
                step,
                f"step {step} is not beyond the checkpoint that its attempt began at",
            )
        return Outcome.ARCHIVED, step, ""

    def _has_part(self, event: TornAgain, segment: SegmentWriter | None) -> bool:
        """Whether all that came again of a step is the step's."""
        if event.digest:
            return self._digest_of(event.started.attempt, event.step, segment) == event.digest
        known = segment.tiles_of(event.step) if segment else frozenset[TileRecord]()
        known = known or sealed_tiles(self._run_folder, self._partition, event.started, event.step)
        return known.issuperset(event.tiles)

    def _digest_of(self, attempt: int, step: int, segment: SegmentWriter | None) -> str | None:
        known = segment.digest_of(step) if segment else None
        return known or sealed_digest(self._run_folder, self._partition, attempt, step)

    def _of_gap(self, gap: Gap, ledger: Sequence[Entry]) -> Fate:
        """Look whether a gap that is not beyond the last step was there before."""
        reason = gap.reason[:MAX_REASON]
        said = (Outcome.CONTROL, gap.attempt, gap.step)
        known = next((e.reason for e in ledger if (e.outcome, e.attempt, e.step) == said), None)
        if known is None:
            known = sealed_gap(self._run_folder, self._partition, gap.attempt, gap.step)
        if known is None:
            return Outcome.CONTROL, gap.step, reason
        if known == reason:
            return Outcome.DUPLICATE, gap.step, ""
        return Outcome.QUARANTINED, gap.step, f"step {gap.step} was dropped before, for another reason"

    def _of_command(self, command: Steered) -> Fate:
        known = self._commands.learn(command)
        if known is None:
            return Outcome.CONTROL, -1, ""
        if known == checksum(command):
            return Outcome.DUPLICATE, -1, ""
        return Outcome.QUARANTINED, -1, f"command {command.id} was told before, otherwise"
