"""Steps out of messages: pure, without Kafka, shared by everyone who reads a run's topic.

The grammar of a partition is strict, because one producer at a time writes it in order: ``run-started``,
then per step its tiles and the manifest that closes it, at last ``run-ended``. So at most one new step is
pending at any time. A producer that was killed sends again what it cannot know to be stored, beginning at any
item before: so one step that is over may be pending beside it. Whatever does not fit is a fault of its own:
the stream goes on behind it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lockstream.bridge.errors import WireError
from lockstream.bridge.messages import (
    Gap,
    Manifest,
    Message,
    RunEnded,
    RunStarted,
    Steered,
    Tile,
    check_diagnostics,
)
from lockstream.bridge.tiles import tile_offsets
from lockstream.bridge.wire import decode, verify_tile
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
    Superseded,
    TornAgain,
)

_OfAttempt = Manifest | Gap | Steered | RunEnded | Tile
Headers = Sequence[tuple[str, bytes | None]] | None

MAX_FOREIGN = 100_000  # inside one step; behind a pending step nothing can be sealed, so memory would grow
MAX_COMMAND_BYTES = 1 << 16
FOREIGN_BYTES = 512  # of a command that is kept count like one record more


@dataclass(slots=True)
class _Pending:
    step: int
    tiles: dict[tuple[str, tuple[int, ...]], Tile] = field(default_factory=dict)  # by field and offset
    offsets: list[int] = field(default_factory=list)
    foreign: int = 0  # records of no use that came in between

    def torn(self, why: str) -> Fault:
        return Fault(offsets=tuple(self.offsets), reason=f"step {self.step} is torn: {why}")


class StepAssembler:
    """Reads one partition of one run's topic.

    Parameters
    ----------
    run
        The run that the topic belongs to.
    started
        The attempt at hand where reading resumes; None at the beginning of the log.
    last_step
        The last step of that attempt that was already seen, -1 if none.
    ended
        What that attempt said, if it already said ``run-ended``.

    Notes
    -----
    Holds at most the tiles of one new step and of one that is over: twice ``started.step_bytes`` bytes,
    whatever the messages claim.
    """

    def __init__(
        self, run: str, started: RunStarted | None = None, last_step: int = -1, ended: RunEnded | None = None
    ) -> None:
        self._run = run
        self.started = started
        self.last_step = last_step
        self._ended = ended
        self._pending: _Pending | None = None  # beyond the last step
        self._late: _Pending | None = None  # not beyond it: one that comes again, or out of order
        self._grids: dict[str, dict[tuple[int, ...], tuple[int, ...]]] = {}
        if started is not None:
            self._learn_grids(started)

    def resume_offset(self, next_offset: int) -> int:
        """Where a reader that stops now has to begin again, having read everything before `next_offset`."""
        return min((pending.offsets[0] for pending in self._held), default=next_offset)

    @property
    def _held(self) -> list[_Pending]:
        return [pending for pending in (self._pending, self._late) if pending]

    def give_up_pending(self, why: str) -> Iterator[Event]:
        """Give up the new step that is not yet whole, e.g. because something before it has to be sealed."""
        yield from self._abandon(why)

    def feed(self, offset: int, headers: Headers, value: bytes | None) -> Iterator[Event]:
        """Take one record and yield what it settles; nothing while a step is still incomplete.

        Parameters
        ----------
        offset
            Its offset in the partition.
        headers, value
            As confluent-kafka delivers them.
        """
        for event in self._settle(offset, headers, value):
            for pending in self._held:
                pending.foreign += _weight(event)
            yield event
        why = f"more than {MAX_FOREIGN} records of no use came before its manifest"
        if self._pending and self._pending.foreign > MAX_FOREIGN:
            yield from self._abandon(why)
        if self._late and self._late.foreign > MAX_FOREIGN:
            yield from self._abandon_late(why)

    def _settle(self, offset: int, headers: Headers, value: bytes | None) -> Iterator[Event]:
        try:
            message = decode(headers, value)
            self._check_run(message)
        except WireError as error:
            yield Fault(offsets=(offset,), reason=str(error))
            return
        started = self.started
        if started is not None and message.attempt < started.attempt:
            yield Superseded(offsets=(offset,))
        elif isinstance(message, RunStarted):
            yield from self._start(offset, message)
        elif started is None or message.attempt > started.attempt:
            yield Fault(
                offsets=(offset,), reason=f"no run-started of attempt {message.attempt} came before it"
            )
        else:
            yield from self._take(offset, message, started, len(value or b""))

    def _take(self, offset: int, message: _OfAttempt, started: RunStarted, nbytes: int) -> Iterator[Event]:
        if isinstance(message, RunEnded) and message == self._ended:
            yield Duplicate(offsets=(offset,))
        elif isinstance(message, Steered) and nbytes > MAX_COMMAND_BYTES:
            reason = f"steered of {nbytes} bytes exceeds the limit of {MAX_COMMAND_BYTES}"
            yield Fault(offsets=(offset,), reason=reason)
        elif isinstance(message, Steered):  # the archive knows whether it was there before
            yield CommandDone(offsets=(offset,), message=message, nbytes=nbytes)
        elif isinstance(message, Gap) and message.step <= self.last_step:
            yield DroppedAgain(offsets=(offset,), message=message)
        elif self._ended and (isinstance(message, RunEnded) or message.step > self.last_step):
            yield Fault(offsets=(offset,), reason="came after run-ended of its attempt")
        elif isinstance(message, Tile):
            yield from self._add_tile(offset, message, started)
        elif isinstance(message, Manifest):
            yield from self._close_step(offset, message, started)
        elif isinstance(message, Gap):
            yield from self._abandon("another record came before its manifest")
            self.last_step = message.step
            yield Dropped(offsets=(offset,), message=message)
        elif isinstance(message, RunEnded):
            yield from self._abandon("run-ended came before its manifest")
            self._ended = message
            yield Ended(offsets=(offset,), message=message)

    def _check_run(self, message: Message) -> None:
        if message.run != self._run:
            raise WireError(f"belongs to run {message.run!r}, this is the topic of {self._run!r}")

    def _start(self, offset: int, message: RunStarted) -> Iterator[Event]:
        if self.started is not None and message.attempt == self.started.attempt:
            if message == self.started:
                yield Duplicate(offsets=(offset,))
            else:
                yield Fault(
                    offsets=(offset,), reason=f"a second, different run-started of attempt {message.attempt}"
                )
            return
        if self.started is not None and _arrays(message) != _arrays(self.started):
            reason = f"attempt {message.attempt} declares other fields than attempt {self.started.attempt}"
            yield Fault(offsets=(offset,), reason=reason)
            return
        for pending in self._held:
            yield Superseded(offsets=tuple(pending.offsets))
        self.started, self.last_step, self._ended = message, message.after_step, None
        self._pending = self._late = None
        self._learn_grids(message)
        yield Started(offsets=(offset,), message=message)

    def _learn_grids(self, started: RunStarted) -> None:
        self._grids = {f.name: dict(tile_offsets(f.shape, started.tiles[f.name])) for f in started.fields}

    def _add_tile(self, offset: int, tile: Tile, started: RunStarted) -> Iterator[Event]:
        if reason := self._objection(tile, started):
            yield Fault(offsets=(offset,), reason=reason)
            return
        yield from self._make_way(tile.step, f"step {tile.step} began before its manifest came")
        if tile.step > self.last_step:
            pending = self._pending = self._pending or _Pending(tile.step)
        else:
            pending = self._late = self._late or _Pending(tile.step)
        first = pending.tiles.setdefault((tile.field, tile.offset), tile)
        if first is tile:
            pending.offsets.append(offset)
        elif first.record == tile.record:
            yield Duplicate(offsets=(offset,))
        else:
            where = f"{tile.field}{list(tile.offset)} of step {tile.step}"
            yield Fault(offsets=(offset,), reason=f"tile {where} came before with another checksum")

    def _objection(self, tile: Tile, started: RunStarted) -> str:
        """Why a tile cannot be part of a step of this attempt; empty if it can."""
        declared = started.field(tile.field)
        if declared is None:
            return f"field {tile.field!r} was not declared by run-started"
        if (tile.dtype, tile.shape) != (declared.dtype, declared.shape):
            return f"field {tile.field!r} is {declared.dtype}{list(declared.shape)}, the tile says otherwise"
        if tile.codec not in ("none", started.codec):
            return f"the tile's codec is {tile.codec}, run-started declared {started.codec}"
        if self._grids[tile.field].get(tile.offset) != tile.extent:
            return (
                f"tile {tile.field}{list(tile.offset)}+{list(tile.extent)} is not one of the declared tiles"
            )
        try:
            verify_tile(tile)
        except WireError as error:
            return str(error)
        return ""

    def _close_step(self, offset: int, manifest: Manifest, started: RunStarted) -> Iterator[Event]:
        yield from self._make_way(manifest.step, f"the manifest of step {manifest.step} came before its own")
        kind = Step if manifest.step > self.last_step else Repeated
        pending = (self._late if kind is Repeated else self._pending) or _Pending(manifest.step)
        if kind is Repeated:
            self._late = None
        else:
            self._pending = None
        offsets = (*pending.offsets, offset)
        if reason := self._incompleteness(started, pending, manifest):
            came = tuple(tile.record for tile in pending.tiles.values())
            if kind is Repeated and set(came) <= set(
                manifest.tiles
            ):  # what was sent again may be the end only
                yield TornAgain(
                    offsets=offsets,
                    reason=reason,
                    started=started,
                    step=manifest.step,
                    tiles=came,
                    digest=manifest.digest,
                )
            else:
                yield Fault(offsets=offsets, reason=reason)
            return
        self.last_step = max(self.last_step, manifest.step)
        tiles = tuple(pending.tiles[record.field, record.offset] for record in manifest.tiles)
        yield kind(offsets=offsets, started=started, manifest=manifest, tiles=tiles)

    def _incompleteness(self, started: RunStarted, pending: _Pending, manifest: Manifest) -> str:
        """Why tiles and manifest do not make a step; empty if they do."""
        expected = sum(len(grid) for grid in self._grids.values())
        step = f"step {manifest.step}"
        if len(manifest.tiles) != expected or len(set(manifest.tiles)) != expected:
            return f"the manifest of {step} lists {len(manifest.tiles)} tiles, the fields have {expected}"
        came = {tile.record for tile in pending.tiles.values()}
        if missing := [record for record in manifest.tiles if record not in came]:
            named = ", ".join(f"{t.field}{list(t.offset)}" for t in missing[:5])
            return f"{step} is torn: {len(missing)} of {expected} tiles are missing or differ: {named}"
        try:
            check_diagnostics(started, manifest.diagnostics)
        except ValueError as error:
            return f"{step}: {error}"
        return ""

    def _make_way(self, step: int, why: str) -> Iterator[Event]:
        """Give up what is pending and cannot go on, now that a record of `step` has come."""
        if self._late and self._late.step != step:
            yield from self._abandon_late(why)
        if self._pending and self._pending.step != step > self.last_step:
            yield from self._abandon(why)

    def _abandon(self, why: str) -> Iterator[Event]:
        """Give up the pending new step, and what of an older one was sent again before it: that was left off."""
        yield from self._abandon_late(why)
        if self._pending:
            yield self._pending.torn(why)
            self._pending = None

    def _abandon_late(self, why: str) -> Iterator[Event]:
        if self._late and self.started:
            torn, tiles = self._late.torn(why), tuple(tile.record for tile in self._late.tiles.values())
            yield TornAgain(
                offsets=torn.offsets,
                reason=torn.reason,
                started=self.started,
                step=self._late.step,
                tiles=tiles,
            )
            self._late = None


def _weight(event: Event) -> int:
    """How many records of no use an event counts for, while a step is pending."""
    if isinstance(event, CommandDone):
        return 1 + event.nbytes // FOREIGN_BYTES
    return int(isinstance(event, Repeated) or not isinstance(event, Step))


def _arrays(started: RunStarted) -> set[tuple[str, tuple[int, ...], str]]:
    return {(field.name, field.shape, field.dtype) for field in started.fields}
