"""What travels through Kafka: one frozen class per kind of message, checked when it is made.

A run's topic reads ``run-started``, then for every published step its tiles and the manifest that closes
it, and at last ``run-ended``. `lockstream.bridge.wire` turns these classes into headers and bytes and back.
"""

import hashlib
import math
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np

from lockstream.bridge.errors import WireError
from lockstream.bridge.rounding import MANTISSA_BITS

SCHEMA_VERSION = "1.1"
TOPIC_PREFIX = "lockstream.run."
MAX_TILE_BYTES = 1 << 20
MAX_TILES = 1 << 14  # of a step: its manifest lists them all and must stay below a message's limit
MAX_STEP = 10**18
MAX_DIMENSIONS = 4
DTYPES: Mapping[str, np.dtype[Any]] = {
    code: np.dtype(f"<{code}") if code[1] != "1" else np.dtype(code)
    for code in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8", "c16")
}

_RUN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
RESERVED_NAMES = frozenset({"step", "time", "lockstream"})

# What arrives is held to these by the decoder, so that whatever is understood can be archived.
Count = Annotated[int, msgspec.Meta(ge=0, lt=MAX_STEP)]
Size = Annotated[int, msgspec.Meta(ge=1, lt=10**18)]
CountOrNone = Annotated[int, msgspec.Meta(ge=-1, lt=MAX_STEP)]  # -1 where there is none
Attempt = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]  # HDF5 has no text with NUL in it
Label = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


def is_run_id(text: str) -> bool:
    """Whether `text` can name a run: it becomes a topic and a folder name."""
    return _RUN_ID.fullmatch(text) is not None


def run_topic(run: str) -> str:
    """Name of the topic that carries `run`."""
    return TOPIC_PREFIX + run


class Axis(msgspec.Struct, frozen=True):
    """One axis of a field: element i lies at ``start + i * spacing``.

    Parameters
    ----------
    name
        Name of the dimension, e.g. ``"y"``.
    start, spacing
        Coordinate of the first element and distance of two neighbours, in `units`.
    units
        UDUNITS text, ``"1"`` for a plain number.
    """

    name: str
    start: float = 0.0
    spacing: float = 1.0
    units: Text = "1"

    def __post_init__(self) -> None:
        _check_name("axis", self.name)
        if not (math.isfinite(self.start) and math.isfinite(self.spacing) and self.spacing != 0):
            raise ValueError(f"axis {self.name}: start and spacing must be finite, spacing not 0")


class Field(msgspec.Struct, frozen=True):
    """A global array of the simulation.

    Parameters
    ----------
    name
        Name of the variable in the archive.
    shape
        Global shape, e.g. ``(2048, 2048)``; 1 to 4 dimensions.
    dtype
        One of `DTYPES`, e.g. ``"f4"``; always little-endian on the wire.
    units, long_name
        As CF has them.
    axes
        One `Axis` per dimension; left out, they are named x, (y, x), (z, y, x) and count elements.
    """

    name: str
    shape: tuple[Size, ...]
    dtype: str = "f4"
    units: Text = "1"
    long_name: Text = ""
    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        _check_name("field", self.name)
        if self.dtype not in DTYPES:
            raise ValueError(f"field {self.name}: dtype {self.dtype!r} is none of {', '.join(DTYPES)}")
        if not 1 <= len(self.shape) <= MAX_DIMENSIONS or any(n < 1 for n in self.shape):
            raise ValueError(f"field {self.name}: shape {self.shape} must have 1 to 4 positive sizes")
        if not self.axes:
            names = ("w", "z", "y", "x")[-len(self.shape) :]
            msgspec.structs.force_setattr(self, "axes", tuple(Axis(name) for name in names))
        if len({axis.name for axis in self.axes}) != len(self.shape) or len(self.axes) != len(self.shape):
            raise ValueError(f"field {self.name}: {len(self.shape)} dimensions need as many distinct axes")
        for axis, size in zip(self.axes, self.shape, strict=True):
            if not math.isfinite(axis.start + axis.spacing * (size - 1)):
                raise ValueError(f"field {self.name}: the far end of axis {axis.name} is not a finite number")

    @property
    def nbytes(self) -> int:
        """Bytes of one frame."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every message that is JSON says: which version, which run, which attempt."""

    v: str = SCHEMA_VERSION
    run: str
    attempt: Attempt = 0

    def __post_init__(self) -> None:
        if not is_run_id(self.run):
            raise ValueError(f"run id {self.run[:80]!r} does not match {_RUN_ID.pattern}")
        if self.attempt < 0:
            raise ValueError(f"attempt {self.attempt} is negative")


class RunStarted(_Message, frozen=True, kw_only=True, tag="run-started"):
    """The first message of an attempt, in every partition.

    Parameters
    ----------
    fields
        The fields that each step has.
    tiles
        Shape of a whole tile of each field; tiles at the far edges are cut off.
    partitions
        The n-th published step goes to partition ``n % partitions``.
    codec
        ``none``, or ``deflate``: then each tile that gains by it is compressed.
    rounding
        Mantissa bits kept of fields that were rounded; absent fields are exact.
    after_step
        Steps beyond this one supersede those of older attempts; -1 for a fresh start.
    steps_before
        How many steps the attempts before published up to and including `after_step`, those among them that
        were dropped; -1 if that is not known.
    time_units
        Units of the steps' physical time.
    configuration
        The configuration as given, without its secrets.
    environment
        Versions, host, Slurm job: what helps to repeat the run.
    started
        When, ISO 8601, UTC.
    """

    fields: tuple[Field, ...]
    tiles: dict[str, tuple[Size, ...]]
    partitions: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] = 1
    codec: Literal["none", "deflate"] = "none"
    rounding: dict[str, int] = {}
    after_step: CountOrNone = -1
    steps_before: CountOrNone = -1
    time_units: Text = "1"
    configuration: dict[str, Any] = {}
    environment: dict[Label, Text] = {}
    started: Text = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [field.name for field in self.fields]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"field names {names} must be distinct, at least one")
        if set(self.tiles) != set(names):
            raise ValueError(f"tile shapes are given for {sorted(self.tiles)}, fields are {sorted(names)}")
        for field in self.fields:
            _check_tile_shape(field, self.tiles[field.name])
        for name, keep_bits in self.rounding.items():
            _check_rounding(self.field(name), name, keep_bits)
        if (tiles := sum(_tile_count(field, self.tiles[field.name]) for field in self.fields)) > MAX_TILES:
            raise ValueError(f"a step has {tiles} tiles, at most {MAX_TILES} are possible: make them larger")
        _check_axes(self.fields)

    @property
    def step_bytes(self) -> int:
        """Raw bytes of one whole step."""
        return sum(field.nbytes for field in self.fields)

    def field(self, name: str) -> Field | None:
        """Return the field of that name, or None."""
        return next((field for field in self.fields if field.name == name), None)


class TileRecord(msgspec.Struct, frozen=True, array_like=True):
    """A tile as the manifest lists it.

    Parameters
    ----------
    field, offset, extent
        Which rectangle of which field.
    crc32c
        Of the raw elements, as 8 hexadecimal digits.
    """

    field: str
    offset: tuple[Count, ...]
    extent: tuple[Size, ...]
    crc32c: str


class Manifest(_Message, frozen=True, kw_only=True, tag="manifest"):
    """Closes a step: the step exists when this message and every tile in it verify.

    Parameters
    ----------
    step, time
        The simulation's own step number and physical time.
    tiles
        Every tile of the step, in the order in which they were sent.
    diagnostics
        Scalars reduced over all ranks; null stands for a value that is not finite.
    """

    step: Count
    time: float
    tiles: tuple[TileRecord, ...]
    diagnostics: dict[str, float | None] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step < 0:
            raise ValueError(f"step {self.step} is negative")
        for name in self.diagnostics:
            _check_name("diagnostic", name)

    @property
    def digest(self) -> str:
        """SHA-256 over what the step says, whatever attempt says it: equal digests are duplicates.

        A diagnostic that is null counts like one that is absent.
        """
        tiles = sorted(self.tiles, key=lambda tile: (tile.field, tile.offset))
        finite = sorted((name, value) for name, value in self.diagnostics.items() if value is not None)
        said = msgspec.json.encode((self.step, self.time, tiles, finite))
        return hashlib.sha256(said).hexdigest()


class Gap(_Message, frozen=True, kw_only=True, tag="gap"):
    """A step that was accepted and then dropped, and why."""

    step: Count
    reason: Text


class Steered(_Message, frozen=True, kw_only=True, tag="steered"):
    """A command took effect, or was refused.

    Parameters
    ----------
    id
        Of the command; it is never executed twice.
    command
        What was asked for.
    who, sent
        ``user@host``, and when, ISO 8601, UTC.
    step
        The simulation's step at which it took effect on all ranks.
    key, old, new
        For ``set`` and ``every``: what was changed, from what to what.
    refused
        The reason, if it was refused.
    """

    id: Label
    command: Literal["pause", "resume", "checkpoint", "stop", "set", "every"]
    who: Text
    sent: Text
    step: CountOrNone
    key: Text = ""
    old: float | int | str | bool | None = None
    new: float | int | str | bool | None = None
    refused: Text = ""


class RunEnded(_Message, frozen=True, kw_only=True, tag="run-ended"):
    """The last message of an attempt, in every partition.

    Parameters
    ----------
    status
        How it ended: ``completed``, ``stopped`` early in good order, or ``failed``.
    reason
        For people; empty when completed.
    steps
        How many steps were accepted.
    last_step
        Number of the last accepted step, -1 if there was none.
    ended
        When, ISO 8601, UTC.
    measured
        What observing cost the simulation, in seconds and counts.
    """

    status: Literal["completed", "stopped", "failed"]
    reason: Text = ""
    steps: Count
    last_step: CountOrNone
    ended: Text = ""
    measured: dict[str, float] = {}


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """A rectangle of a field at one step; the only message whose value is not JSON.

    Parameters
    ----------
    shape
        Global shape of the field.
    offset, extent
        Where the rectangle begins and how far it reaches, in elements.
    codec
        ``none`` or ``deflate``, tile by tile.
    raw_size
        Bytes of the elements before any compression.
    crc32c
        Of the raw elements.
    payload
        The elements, little-endian, in C order, or what the codec made of them: bytes, or a contiguous
        array to be sent.
    """

    kind: ClassVar[str] = "tile"

    run: str
    attempt: int = 0
    step: int
    field: str
    dtype: str
    shape: tuple[int, ...]
    offset: tuple[int, ...]
    extent: tuple[int, ...]
    codec: str = "none"
    raw_size: int
    crc32c: str
    payload: bytes | np.ndarray[Any, Any]

    @property
    def record(self) -> TileRecord:
        """The tile as a manifest lists it."""
        return TileRecord(self.field, self.offset, self.extent, self.crc32c)


JsonMessage = RunStarted | Manifest | Gap | Steered | RunEnded
Message = JsonMessage | Tile


def _check_name(what: str, name: str) -> None:
    if _NAME.fullmatch(name) is None or (what != "axis" and name in RESERVED_NAMES):
        raise ValueError(
            f"{what} name {name[:80]!r}: use a letter, then up to 63 letters, digits or underscores; "
            "'step', 'time' and 'lockstream' are taken"
        )


def _check_tile_shape(field: Field, tile: tuple[int, ...]) -> None:
    fits = len(tile) == len(field.shape) and all(0 < t <= n for t, n in zip(tile, field.shape, strict=True))
    if not fits or math.prod(tile) * DTYPES[field.dtype].itemsize > MAX_TILE_BYTES:
        raise ValueError(f"field {field.name}: tiles of {tile} do not fit {field.shape} or exceed 1 MiB")


def _tile_count(field: Field, tile: tuple[int, ...]) -> int:
    return math.prod(-(-n // t) for n, t in zip(field.shape, tile, strict=True))


def _check_rounding(field: Field | None, name: str, keep_bits: int) -> None:
    if field is None or field.dtype not in MANTISSA_BITS:
        raise ValueError(f"stream.rounding.{name} = {keep_bits}: no field of that name has dtype f4 or f8")
    if not 1 <= keep_bits < MANTISSA_BITS[field.dtype]:
        raise ValueError(
            f"stream.rounding.{name} = {keep_bits}: keep 1 to {MANTISSA_BITS[field.dtype] - 1} mantissa bits"
        )


def _check_axes(fields: tuple[Field, ...]) -> None:
    """One axis name means one axis, whichever field has it; variables and axes share one namespace."""
    seen: dict[str, tuple[Axis, int]] = {}
    for field in fields:
        for axis, size in zip(field.axes, field.shape, strict=True):
            if seen.setdefault(axis.name, (axis, size)) != (axis, size):
                raise ValueError(f"axis {axis.name!r} has two meanings or lengths: give each its own name")
    if clash := set(seen) & ({field.name for field in fields} | RESERVED_NAMES):
        raise ValueError(f"{sorted(clash)} would name both an axis and a variable")


def check_diagnostics(started: RunStarted, names: Collection[str]) -> None:
    """Refuse a diagnostic that cannot be a variable beside the fields and axes: all are in one file.

    Raises
    ------
    ValueError
        Naming it.
    """
    for name in names:
        _check_name("diagnostic", name)
    taken = {f.name for f in started.fields} | {axis.name for f in started.fields for axis in f.axes}
    if clash := taken.intersection(names):
        raise ValueError(f"diagnostics {sorted(clash)} are named like fields or axes: rename them")


def check_version(version: str) -> None:
    """Refuse a major version that this program does not know.

    Raises
    ------
    WireError
        If `version` is not ``MAJOR.MINOR`` with our major.
    """
    if re.fullmatch(r"\d{1,4}\.\d{1,4}", version) is None:
        raise WireError(f"schema version {version[:20]!r} is not MAJOR.MINOR")
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise WireError(f"schema version {version}: this program reads {SCHEMA_VERSION.split('.')[0]}.x")
