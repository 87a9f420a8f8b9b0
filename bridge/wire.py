"""Messages to headers and bytes, and back; the only module that knows the wire format.

Nothing that arrives is believed: names, sizes and checksums are checked before memory is taken, products
of shapes are Python integers, nothing is pickled. docs/reference/wire-format.md describes the format.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import google_crc32c
import msgspec
import numpy as np

from lockstream.bridge.codecs import CODECS, inflate
from lockstream.bridge.errors import WireError
from lockstream.bridge.messages import (
    DTYPES,
    MAX_DIMENSIONS,
    MAX_TILE_BYTES,
    SCHEMA_VERSION,
    JsonMessage,
    Message,
    Tile,
    check_version,
    is_run_id,
)

Headers = list[tuple[str, bytes]]

MAX_JSON_BYTES = MAX_TILE_BYTES
_JSON: msgspec.json.Decoder[JsonMessage] = msgspec.json.Decoder(JsonMessage)
_JSON_KINDS = frozenset({"run-started", "manifest", "gap", "steered", "run-ended"})


def crc32c(elements: bytes | np.ndarray[Any, Any]) -> str:
    """CRC-32C (Castagnoli, RFC 3720) of contiguous bytes, as 8 hexadecimal digits."""
    view = elements if isinstance(elements, bytes) else elements.reshape(-1).view(np.uint8)
    return f"{google_crc32c.value(view):08x}"


def encode(message: Message) -> tuple[Headers, bytes | np.ndarray[Any, Any]]:
    """Turn a message into Kafka headers and a value; a tile's value is its payload itself, not a copy.

    Raises
    ------
    WireError
        If it is too large to be read again.
    """
    if isinstance(message, Tile):
        return _tile_headers(message), message.payload
    headers = _common_headers(str(type(message).__struct_config__.tag), message.run, message.attempt)
    if (step := getattr(message, "step", -1)) >= 0:
        headers.append(("step", str(step).encode()))
    if len(value := msgspec.json.encode(message)) > MAX_JSON_BYTES:
        kind = headers[1][1].decode()
        raise WireError(f"{kind} of {len(value)} bytes exceeds the limit of {MAX_JSON_BYTES}")
    return headers, value


def decode(headers: Sequence[tuple[str, bytes | None]] | None, value: bytes | None) -> Message:
    """Turn what Kafka delivered into a message.

    Raises
    ------
    WireError
        If it is not of this format, of a later major version, too large, or contradicts itself.
        A tile's checksum is not looked at here: see `verify_tile`.
    """
    if value is None:
        raise WireError("no value (a tombstone)")
    text = _header_texts(headers)
    check_version(_required(text, "ls-v"))
    kind = _required(text, "ls-kind")
    if kind == "tile":
        return _decode_tile(text, value)
    if kind not in _JSON_KINDS:
        raise WireError(f"unknown ls-kind {kind[:40]!r}")
    return _decode_json(kind, text, value)


def verify_tile(tile: Tile) -> None:
    """Compare a tile's elements with its checksum.

    Raises
    ------
    WireError
        If they differ, or a compressed tile does not hold what its headers say.
    """
    if (found := crc32c(_raw(tile))) != tile.crc32c:
        raise WireError(
            f"tile {tile.field}{list(tile.offset)}: crc32c is {found}, its header says {tile.crc32c}"
        )


def elements(tile: Tile) -> np.ndarray[Any, Any]:
    """Return the tile's elements as an array of its extent; without copying, unless they are compressed.

    Raises
    ------
    WireError
        If a compressed tile does not hold what its headers say.
    """
    return np.frombuffer(_raw(tile), dtype=DTYPES[tile.dtype]).reshape(tile.extent)


def _raw(tile: Tile) -> bytes | np.ndarray[Any, Any]:
    if tile.codec == "none":
        return tile.payload
    return inflate(bytes(tile.payload), DTYPES[tile.dtype].itemsize, tile.raw_size)


def _common_headers(kind: str, run: str, attempt: int) -> Headers:
    return [
        ("ls-v", SCHEMA_VERSION.encode()),
        ("ls-kind", kind.encode()),
        ("run", run.encode()),
        ("attempt", str(attempt).encode()),
    ]


def _tile_headers(tile: Tile) -> Headers:
    return [
        *_common_headers("tile", tile.run, tile.attempt),
        ("step", str(tile.step).encode()),
        ("field", tile.field.encode()),
        ("dtype", tile.dtype.encode()),
        ("shape", _join(tile.shape)),
        ("offset", _join(tile.offset)),
        ("extent", _join(tile.extent)),
        ("codec", tile.codec.encode()),
        ("raw-size", str(tile.raw_size).encode()),
        ("crc32c", tile.crc32c.encode()),
    ]


def _join(sizes: tuple[int, ...]) -> bytes:
    return ",".join(map(str, sizes)).encode()


def _header_texts(headers: Sequence[tuple[str, bytes | None]] | None) -> dict[str, str]:
    texts: dict[str, str] = {}
    for key, value in headers or ():
        if value is None or len(value) > 200:
            continue
        if key in texts:
            raise WireError(f"header {key[:40]!r} stands there twice")
        try:
            texts[key] = value.decode()
        except UnicodeDecodeError:
            continue  # a foreign header may hold anything; one of ours is then missing and named
    return texts


def _required(texts: dict[str, str], key: str) -> str:
    try:
        return texts[key]
    except KeyError:
        raise WireError(f"header {key!r} is missing, longer than 200 bytes or not UTF-8") from None


def _integer(texts: dict[str, str], key: str) -> int:
    text = _required(texts, key)
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise WireError(f"header {key} = {text[:40]!r} is not a non-negative integer")
    return int(text)


def _sizes(texts: dict[str, str], key: str) -> tuple[int, ...]:
    parts = _required(texts, key).split(",")
    if len(parts) > MAX_DIMENSIONS or not all(p.isascii() and p.isdecimal() and len(p) <= 18 for p in parts):
        raise WireError(
            f"header {key} = {','.join(parts)[:80]!r} is not a list of 1 to {MAX_DIMENSIONS} integers"
        )
    return tuple(map(int, parts))


def _checksum(texts: dict[str, str]) -> str:
    if re.fullmatch("[0-9a-f]{8}", text := _required(texts, "crc32c")) is None:
        raise WireError(f"header crc32c = {text[:40]!r} is not 8 hexadecimal digits")
    return text


def _decode_tile(texts: dict[str, str], value: bytes) -> Tile:
    dtype, codec = _required(texts, "dtype"), _required(texts, "codec")
    if dtype not in DTYPES:
        raise WireError(f"header dtype = {dtype[:40]!r} is none of {', '.join(DTYPES)}")
    if codec not in CODECS:
        raise WireError(f"header codec = {codec[:40]!r} is not known")
    tile = Tile(
        run=_run(texts),
        attempt=_integer(texts, "attempt"),
        step=_integer(texts, "step"),
        field=_required(texts, "field"),
        dtype=dtype,
        shape=_sizes(texts, "shape"),
        offset=_sizes(texts, "offset"),
        extent=_sizes(texts, "extent"),
        codec=codec,
        raw_size=_integer(texts, "raw-size"),
        crc32c=_checksum(texts),
        payload=value,
    )
    _check_geometry(tile)
    if len(value) != tile.raw_size and (codec == "none" or len(value) > tile.raw_size):
        raise WireError(f"the value has {len(value)} bytes, header raw-size says {tile.raw_size}")
    return tile


def _check_geometry(tile: Tile) -> None:
    if not len(tile.shape) == len(tile.offset) == len(tile.extent):
        raise WireError("headers shape, offset and extent have different lengths")
    inside = all(e > 0 and o + e <= n for n, o, e in zip(tile.shape, tile.offset, tile.extent, strict=True))
    if not inside:
        raise WireError(f"tile {tile.offset}+{tile.extent} does not lie inside {tile.shape}")
    if math.prod(tile.extent) * DTYPES[tile.dtype].itemsize != tile.raw_size:
        raise WireError(f"extent {tile.extent} of {tile.dtype} does not have raw-size {tile.raw_size}")
    if tile.raw_size > MAX_TILE_BYTES:
        raise WireError(f"raw-size {tile.raw_size} exceeds the limit of {MAX_TILE_BYTES} bytes")


def _decode_json(kind: str, texts: dict[str, str], value: bytes) -> JsonMessage:
    if len(value) > MAX_JSON_BYTES:
        raise WireError(f"{kind} of {len(value)} bytes exceeds the limit of {MAX_JSON_BYTES}")
    try:
        message = _JSON.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{kind} is not valid: {error}") from None
    said = (kind, _run(texts), _integer(texts, "attempt"))
    if said != (message.__struct_config__.tag, message.run, message.attempt):
        raise WireError(f"headers say {said}, the value says otherwise")
    if "step" in texts and _integer(texts, "step") != getattr(message, "step", None):
        raise WireError(f"header step = {texts['step']}, the value says otherwise")
    check_version(message.v)
    return message


def _run(texts: dict[str, str]) -> str:
    if not is_run_id(run := _required(texts, "run")):
        raise WireError(f"header run = {run[:80]!r} is not a run id")
    return run
