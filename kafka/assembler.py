"""Steps out of messages: pure, without Kafka, shared by everyone who reads a run's topic.

The grammar of a partition is strict, because one idempotent producer writes it in order: ``run-started``,
then per step its tiles and the manifest that closes it, at last ``run-ended``. So at most one step is
pending at any time, and whatever does not fit is a fault of its own: the stream goes on behind it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lockstream.bridge.errors import WireError
from lockstream.bridge.messages import (
    DTYPES,
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
from lockstream.bridge.wire import decode, elements, verify_tile

Headers = Sequence[tuple[str, bytes | None]] | None

MAX_FOREIGN = 100_000  # inside one step; behind a pending step nothing can be sealed, so memory would grow


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that was understood; every offset of the log belongs to exactly one event.

    Parameters
    ----------
    offsets
        The records it consists of, in ascending order.
    """

    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """An attempt began; what follows belongs to it."""

    message: RunStarted


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Event):
    """A whole step: its manifest and every tile of it verified.

    Parameters
    ----------
    started
        The attempt that it belongs to.
    manifest
        What closed it.
    tiles
        In the manifest's order.
    """

    started: RunStarted
    manifest: Manifest
    tiles: tuple[Tile, ...]

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """Put the tiles of one field together.

        Returns
        -------
        numpy.ndarray
            A new array of the field's global shape and dtype.

        Raises
        ------
        KeyError
            If the run has no such field.
        """
        declared = self.started.field(name)
        if declared is None:
            raise KeyError(name)
        whole = np.empty(declared.shape, DTYPES[declared.dtype])
        for tile in self.tiles:
            if tile.field == name:
                region = tuple(slice(o, o + e) for o, e in zip(tile.offset, tile.extent, strict=True))
                whole[region] = elements(tile)
        return whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Step):
    """A whole step whose number is not beyond the attempt's last one: a duplicate, if the digests agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Event):
    """The producer says that it dropped a step."""

    message: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded(Event):
    """A command to the run took effect, or was refused."""

    message: Steered


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """The attempt said ``run-ended``."""

    message: RunEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Event):
    """A record that says again what was said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded(Event):
    """Records of an attempt that a newer one has replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Event):
    """Records that cannot be used."""

    reason: str


@dataclass(slots=True)
class _Pending:
    step: int
    tiles: dict[tuple[str, tuple[int, ...]], Tile] = field(default_factory=dict)  # by field and offset
    offsets: list[int] = field(default_factory=list)
    foreign: int = 0  # records of no use that came in between


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
        What that attempt said at its end, None if it has not.

    Notes
    -----
    Holds at most the tiles of one step: ``started.step_bytes`` bytes, whatever the messages claim.
    """

    def __init__(
        self, run: str, started: RunStarted | None = None, last_step: int = -1, ended: RunEnded | None = None
    ) -> None:
        self._run = run
        self.started = started
        self.last_step = last_step
        self._ended = ended
        self._commands: frozenset[str] = frozenset()
        self._pending: _Pending | None = None
        self._grids: dict[str, dict[tuple[int, ...], tuple[int, ...]]] = {}
        if started is not None:
            self._learn_grids(started)

    def resume_offset(self, next_offset: int) -> int:
        """Where a reader that stops now has to begin again, having read everything before `next_offset`."""
        return self._pending.offsets[0] if self._pending else next_offset

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
            if self._pending and not isinstance(event, Step):
                self._pending.foreign += 1
            yield event
        if self._pending and self._pending.foreign > MAX_FOREIGN:
            yield from self._abandon(f"more than {MAX_FOREIGN} records of no use came before its manifest")

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
        elif self._ended is not None and not self._was_said(message):
            yield Fault(offsets=(offset,), reason="came after run-ended of its attempt")
        else:
            yield from self._take(offset, message, started)

    def _was_said(self, message: Message) -> bool:
        """Whether a message of an attempt that has ended may be one that was sent again: a spool, drained twice."""
        if isinstance(message, Tile | Manifest | Gap):
            return message.step <= self.last_step
        return isinstance(message, Steered) or message == self._ended

    def _take(self, offset: int, message: Message, started: RunStarted) -> Iterator[Event]:
        if self._pending and isinstance(message, Tile | Manifest) and self._is_late(message.step):
            reason = f"step {message.step} is over, step {self._pending.step} is not yet whole"
            yield Fault(offsets=(offset,), reason=reason)
        elif isinstance(message, Tile):
            yield from self._add_tile(offset, message, started)
        elif isinstance(message, Manifest):
            yield from self._close_step(offset, message, started)
        elif isinstance(message, Steered):
            known, self._commands = message.id in self._commands, self._commands | {message.id}
            yield Duplicate(offsets=(offset,)) if known else Commanded(offsets=(offset,), message=message)
        elif isinstance(message, Gap):
            yield from self._take_gap(offset, message)
        elif isinstance(message, RunEnded):
            yield from self._abandon("run-ended came before its manifest")
            known, self._ended = self._ended is not None, message
            yield Duplicate(offsets=(offset,)) if known else Ended(offsets=(offset,), message=message)

    def _take_gap(self, offset: int, gap: Gap) -> Iterator[Event]:
        if gap.step <= self.last_step:  # said before, or of a step that came
            yield Duplicate(offsets=(offset,))
            return
        yield from self._abandon("another record came before its manifest")
        self.last_step = gap.step
        yield Dropped(offsets=(offset,), message=gap)

    def _is_late(self, step: int) -> bool:
        """Whether a step is over while a newer one is pending, which it must not tear."""
        return self._pending is not None and step <= self.last_step < self._pending.step

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
        if self._pending:
            yield Superseded(offsets=tuple(self._pending.offsets))
        self.started, self.last_step, self._ended, self._pending = message, message.after_step, None, None
        self._learn_grids(message)
        yield Started(offsets=(offset,), message=message)

    def _learn_grids(self, started: RunStarted) -> None:
        self._grids = {f.name: dict(tile_offsets(f.shape, started.tiles[f.name])) for f in started.fields}

    def _add_tile(self, offset: int, tile: Tile, started: RunStarted) -> Iterator[Event]:
        if reason := self._objection(tile, started):
            yield Fault(offsets=(offset,), reason=reason)
            return
        if self._pending and self._pending.step != tile.step:
            yield from self._abandon(f"step {tile.step} began before its manifest came")
        if self._pending is None:
            self._pending = _Pending(tile.step)
        pending = self._pending
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
        if self._pending and self._pending.step != manifest.step:
            yield from self._abandon(f"the manifest of step {manifest.step} came before its own")
        pending, self._pending = self._pending or _Pending(manifest.step), None
        offsets = (*pending.offsets, offset)
        if self.started is None:  # unreachable from feed; a manifest needs its attempt
            return
        if reason := self._incompleteness(self.started, pending, manifest):
            yield Fault(offsets=offsets, reason=reason)
            return
        kind = Step if manifest.step > self.last_step else Repeated
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

    def _abandon(self, why: str) -> Iterator[Event]:
        """Give up the pending step."""
        if self._pending:
            reason = f"step {self._pending.step} is torn: {why}"
            yield Fault(offsets=tuple(self._pending.offsets), reason=reason)
            self._pending = None


def _arrays(started: RunStarted) -> set[tuple[str, tuple[int, ...], str]]:
    return {(field.name, field.shape, field.dtype) for field in started.fields}
