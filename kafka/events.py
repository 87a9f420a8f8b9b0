"""What was understood of a run's topic: steps, starts, ends, and what was wrong."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lockstream.bridge.messages import DTYPES, Gap, Manifest, RunEnded, RunStarted, Steered, Tile, TileRecord
from lockstream.bridge.wire import elements

Until = Literal[
    "ended", "completed"
]  # which end of a run counts: any, or only one behind which no attempt comes


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
    """A whole step whose number is not beyond the attempt's last one.

    A duplicate if it was there before with the same digest; if it was not, it comes late.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Event):
    """The producer says that it dropped a step."""

    message: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedAgain(Event):
    """A gap whose step is not beyond the attempt's last one: a duplicate, if it was there before."""

    message: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandDone(Event):
    """A command took effect or was refused; a duplicate, if it was there before."""

    message: Steered
    nbytes: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TornAgain(Fault):
    """A part of a step whose number is not beyond the attempt's last one: duplicates, if the step has these tiles."""

    started: RunStarted
    step: int
    tiles: tuple[TileRecord, ...]
    digest: str = ""  # of the manifest that came with them, if one did
