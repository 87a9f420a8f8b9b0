"""A frame, the fields of one step on rank 0, and the messages that it becomes."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from lockstream.bridge.codecs import deflate
from lockstream.bridge.messages import DTYPES, Manifest, Message, RunStarted, Tile
from lockstream.bridge.rounding import round_mantissa
from lockstream.bridge.tiles import tile_offsets
from lockstream.bridge.wire import crc32c

Arrays = Mapping[str, np.ndarray[Any, Any]]


class Step(NamedTuple):
    """What a frame is about."""

    number: int
    time: float
    diagnostics: Mapping[str, float | None]


def empty_frame(started: RunStarted) -> Arrays:
    """Make a frame: one array per field, of its global shape.

    They are zeroed by hand: pages that nobody touched before would fault in the simulation's time.
    """
    frame = {field.name: np.empty(field.shape, DTYPES[field.dtype]) for field in started.fields}
    for array in frame.values():
        array.fill(0)
    return frame


def step_messages(step: Step, frame: Arrays, started: RunStarted) -> list[Message]:
    """Turn a frame into its tiles and the manifest that closes them, in the order in which they are sent.

    Fields that are to be rounded are rounded in place; tiles that are not compressed are views of the frame.
    """
    tiles = list(_cut(step, frame, started))
    manifest = Manifest(
        run=started.run,
        attempt=started.attempt,
        step=step.number,
        time=step.time,
        tiles=tuple(tile.record for tile in tiles),
        diagnostics=dict(step.diagnostics),
    )
    return [*tiles, manifest]


def _cut(step: Step, frame: Arrays, started: RunStarted) -> Iterator[Tile]:
    for field in started.fields:
        array = frame[field.name]
        if field.name in started.rounding:
            round_mantissa(array, started.rounding[field.name])
        for offset, extent in tile_offsets(field.shape, started.tiles[field.name]):
            elements = array[tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))]
            packed = deflate(elements) if started.codec == "deflate" else b""
            is_packed = 0 < len(packed) < elements.nbytes
            yield Tile(
                run=started.run,
                attempt=started.attempt,
                step=step.number,
                field=field.name,
                dtype=field.dtype,
                shape=field.shape,
                offset=offset,
                extent=extent,
                codec="deflate" if is_packed else "none",
                raw_size=elements.nbytes,
                crc32c=crc32c(elements),
                payload=packed if is_packed else elements,
            )
