"""One partition of one run, from records to sealed segments.

Correctness rests on the sealed segments alone: they say how far the partition is accounted for, and a new
archiver goes on from there, however the last one died.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Self

from lockstream.bridge.messages import RunEnded, Steered
from lockstream.kafka.archive.account import Position, Source
from lockstream.kafka.archive.fates import MAX_REASON, Fates
from lockstream.kafka.archive.layout import remove_unsealed
from lockstream.kafka.archive.ledger import Entry, Outcome, entries_of
from lockstream.kafka.archive.lock import partition_lock
from lockstream.kafka.archive.recovery import last_position
from lockstream.kafka.archive.segment import SegmentWriter
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.assembler import Headers, StepAssembler
from lockstream.kafka.events import (
    CommandDone,
    Dropped,
    Duplicate,
    Ended,
    Event,
    Repeated,
    Started,
    Step,
    TornAgain,
)

SKIPPED = "not in the log: markers of a foreign application's transactions, or records removed by compaction"
MAX_LEDGER = 50_000  # entries after which a segment is sealed, so that a flood of faults takes no memory
ENTRY_BYTES = 512  # of a command count like an entry


class PartitionArchiver:
    """Archives one partition; a context manager that holds the partition's lock.

    Parameters
    ----------
    run_folder
        The run's folder in the archive.
    source
        The log that is read.
    partition
        Which partition.
    settings
        When to seal.
    confirm
        Called before anything is sealed; raises if what was read may not be of `source`.

    Raises
    ------
    ArchiveLocked
        If another archiver writes this partition.
    ArchiveRefused
        If the archive was made from another log.
    """

    def __init__(
        self,
        run_folder: Path,
        source: Source,
        partition: int,
        settings: ArchiveSettings,
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        self._run_folder, self._source, self._partition = run_folder, source, partition
        self._settings, self._confirm = settings, confirm
        self._segment: SegmentWriter | None = None
        self._ledger: list[Entry] = []
        self._steered: list[tuple[int, Steered]] = []  # by offset
        self._steered_bytes = 0
        self._fates = Fates(run_folder, partition, source.run)
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._check_lock = stack.enter_context(partition_lock(run_folder, partition))
            remove_unsealed(run_folder, partition)
            self.sealed = last_position(run_folder, source, partition)
            self._stack = stack.pop_all()
        self.next_offset = self.sealed.next_offset
        self.ended: RunEnded | None = self.sealed.ended
        self._assembler = StepAssembler(
            source.run, self.sealed.started, self.sealed.last_step, ended=self.ended
        )
        self._started, self._last_step = self.sealed.started, self.sealed.last_step

    @property
    def has_ended(self) -> bool:
        """Whether the run said ``run-ended`` and everything up to it is sealed."""
        return self.ended is not None and self.sealed.ended == self.ended

    def take(self, offset: int, headers: Headers, value: bytes | None) -> Iterator[Event]:
        """Archive one record, sealing the segment when it is due.

        Parameters
        ----------
        offset
            At least `next_offset`; offsets that are skipped are accounted for as not understood.
        headers, value
            As Kafka delivered them.

        Yields
        ------
        Event
            What the record settled, once it is written.
        """
        skipped = range(self.next_offset, offset)
        self._ledger.extend(entries_of(self._partition, skipped, Outcome.QUARANTINED, reason=SKIPPED))
        for event in self._assembler.feed(offset, headers, value):
            yield from self._settle(event)
        self.next_offset = offset + 1
        self.seal_if_due()

    def seal_if_due(self) -> None:
        """Seal what is complete if it is large or old enough; call it now and then when nothing arrives."""
        segment, settings = self._segment, self._settings
        if self._complete_offset == self.sealed.next_offset:
            return
        end_is_new = self.ended is not None and not self.has_ended
        entries = len(self._ledger) + self._steered_bytes // ENTRY_BYTES
        is_full = entries >= MAX_LEDGER or (segment and segment.nbytes >= settings.segment_bytes)
        is_old = segment and monotonic() - segment.opened >= settings.segment_seconds
        if end_is_new or is_full or is_old:
            self.seal()

    def seal(self) -> None:
        """Seal everything that is complete; the tiles of a step still pending will be read again."""
        self._seal_before(self._complete_offset)

    def close(self) -> None:
        """Throw away what is not sealed and give the lock back."""
        if self._segment is not None:
            self._segment.discard()
            self._segment = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _complete_offset(self) -> int:
        return self._assembler.resume_offset(self.next_offset)

    def _settle(self, event: Event) -> Iterator[Event]:
        """Obey an event, and say in the ledger what became of its offsets."""
        if isinstance(event, Started):
            self._seal_before(event.offsets[0])  # a segment holds one attempt
        outcome, step, reason = self._fates.of(event, self._segment, self._ledger)
        if isinstance(event, Repeated) and outcome is Outcome.ARCHIVED:
            for torn in self._assembler.give_up_pending(f"step {step}, which was missing, came before it"):
                yield from self._settle(torn)  # a segment cannot end before a step that it holds
            event = Step(
                offsets=event.offsets, started=event.started, manifest=event.manifest, tiles=event.tiles
            )
        elif isinstance(event, TornAgain) and outcome is Outcome.DUPLICATE:
            event = Duplicate(offsets=event.offsets)
        self._obey(event, outcome)
        attempt = self._started.attempt if self._started else -1
        self._ledger.extend(
            entries_of(
                self._partition,
                event.offsets,
                outcome,
                attempt=attempt,
                step=step,
                reason=reason[:MAX_REASON],
            )
        )
        self._open_segment()
        yield event

    def _obey(self, event: Event, outcome: Outcome) -> None:
        match event:
            case Step() if outcome is Outcome.ARCHIVED:
                self._last_step = max(self._last_step, event.manifest.step)
                self._open_segment().add(event)
            case Started():
                self._started, self._last_step, self.ended = event.message, event.message.after_step, None
            case Dropped():
                self._last_step = max(self._last_step, event.message.step)
            case CommandDone() if outcome is Outcome.CONTROL:
                self._steered.append((event.offsets[0], event.message))
                self._steered_bytes += event.nbytes
            case Ended():
                self.ended = event.message

    def _open_segment(self) -> SegmentWriter:
        if self._segment is None:
            self._segment = SegmentWriter(
                self._run_folder, self._source, self._partition, self.sealed.next_offset, self._started
            )
        return self._segment

    def _seal_before(self, stop: int) -> None:
        """Seal a segment that accounts for everything before offset `stop`."""
        if stop == self.sealed.next_offset:
            return
        self._confirm()
        self._check_lock()
        position = Position(
            partition=self._partition,
            first_offset=self.sealed.next_offset,
            next_offset=stop,
            started=self._started,
            last_step=self._last_step,
            ended=self.ended,
        )
        ledger = [entry for entry in self._ledger if entry.first < stop]
        self._open_segment().seal(position, ledger, [c for offset, c in self._steered if offset < stop])
        self._segment = None
        self._ledger = [entry for entry in self._ledger if entry.first >= stop]
        self._steered = [(offset, command) for offset, command in self._steered if offset >= stop]
        self._steered_bytes = 0  # of the few that are left none is counted twice
        self.sealed = position
