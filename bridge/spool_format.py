"""The bytes of a spool's file: a header, a mark, then framed records, item by item; docs/reference/spool.md shows them.

Nothing that is read is believed: sizes are checked before memory is taken, every byte is under a checksum,
nothing is pickled. An item counts only when its closing frame is there.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from lockstream.bridge.messages import MAX_TILE_BYTES
from lockstream.bridge.wire import Headers

MAX_VALUE_BYTES = 2 * MAX_TILE_BYTES  # what Kafka takes as a message of ours
MAX_HEADERS_BYTES = 1 << 16
MAX_SEQ = 10**18 - 1
MAX_RECORDS = 1 << 20  # of an item
DATA_OFFSET = 64  # header and mark before it, 32 bytes each

_HEADER = struct.Struct("<8sQI12x")  # magic, first seq, checksum
_MARK = struct.Struct("<QQI12x")  # bytes and items that were fsynced, checksum
_FRAME = struct.Struct("<4sIQIIII")  # magic, checksum, seq, index, partition, bytes of headers and of value
_MAGIC, _RECORD, _CLOSING = b"LSSPOOL1", b"LSrc", b"LSit"
_CHECKED_FROM = 8  # a frame's magic and checksum are not under the checksum
MARK_OFFSET = _HEADER.size
FRAME_BYTES = _FRAME.size

Value = bytes | np.ndarray[Any, Any]
OutRecord = tuple[int, Headers, Value]  # partition, headers, value


class SpoolRecord(NamedTuple):
    """One Kafka record as it lies in a spool."""

    seq: int
    partition: int
    headers: Headers
    value: bytes


class Mark(NamedTuple):
    """How much of a file was on disk when its mark was written.

    Parameters
    ----------
    size
        Bytes, from the beginning of the file.
    items
        Whole items in them.
    """

    size: int
    items: int


class BrokenFrame(Exception):
    """What lies at `offset` is not a frame that belongs there."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset, self.what = offset, what


def pack_header(first: int) -> bytes:
    """Return what a file begins with whose first item is `first`: 32 bytes."""
    return _HEADER.pack(_MAGIC, first, google_crc32c.value(_MAGIC + first.to_bytes(8, "little")))


def pack_mark(mark: Mark) -> bytes:
    """Return a mark: 32 bytes."""
    checked = mark.size.to_bytes(8, "little") + mark.items.to_bytes(8, "little")
    return _MARK.pack(mark.size, mark.items, google_crc32c.value(checked))


def unpack_start(raw: bytes) -> tuple[int, Mark]:
    """Take apart the first `DATA_OFFSET` bytes of a file.

    Returns
    -------
    first : int
        Sequence number of its first item.
    mark : Mark

    Raises
    ------
    BrokenFrame
        If they are not what `pack_header` and `pack_mark` make.
    """
    if len(raw) < DATA_OFFSET:
        raise BrokenFrame(len(raw), "the file ends within its header")
    first = _HEADER.unpack_from(raw)[1]
    if raw[:MARK_OFFSET] != pack_header(first) or first > MAX_SEQ:
        raise BrokenFrame(0, "the file's header is not valid")
    mark = Mark(*_MARK.unpack_from(raw, MARK_OFFSET)[:2])
    if raw[MARK_OFFSET:] != pack_mark(mark) or mark.size < DATA_OFFSET:
        raise BrokenFrame(MARK_OFFSET, "the file's mark is not valid")
    return first, mark


def item_size(records: Sequence[OutRecord]) -> int:
    """Bytes that an item takes in a file.

    Raises
    ------
    ValueError
        If a record or the item is too large to be read again.
    """
    if not 0 < len(records) <= MAX_RECORDS:
        raise ValueError(f"an item has 1 to {MAX_RECORDS} records, not {len(records)}")
    return FRAME_BYTES + sum(_record_size(headers, value) for _, headers, value in records)


def item_buffers(seq: int, records: Sequence[OutRecord]) -> Iterator[bytes | memoryview]:
    """Yield an item as buffers to be written one after the other; values are views, not copies.

    Each frame's checksum goes on from that of the frame before, so that the closing frame's covers the whole
    item: its records, their order and their number.
    """
    crc = 0
    for index, (partition, headers, value) in enumerate(records):
        packed, view = _pack_headers(headers), _bytes_of(value)
        head = _FRAME.pack(_RECORD, 0, seq, index, partition, len(packed), len(view))[_CHECKED_FROM:] + packed
        crc = google_crc32c.extend(google_crc32c.extend(crc, head), np.frombuffer(view, np.uint8))
        yield _RECORD + crc.to_bytes(4, "little") + head
        yield view
    closing = _FRAME.pack(_CLOSING, 0, seq, len(records), 0, 0, 0)[_CHECKED_FROM:]
    yield _CLOSING + google_crc32c.extend(crc, closing).to_bytes(4, "little") + closing


def read_item(descriptor: int, offset: int, end: int, seq: int) -> Iterator[tuple[SpoolRecord | None, int]]:
    """Read one item, record by record, and check it.

    Parameters
    ----------
    descriptor
        The file.
    offset, end
        Where the item begins, and where what may be read ends.
    seq
        The item's number.

    Yields
    ------
    record : SpoolRecord or None
        None for the closing frame, which comes last.
    next_offset : int
        Where the next frame begins.

    Raises
    ------
    BrokenFrame
        If it is not whole or not as it was written.
    """
    crc = index = 0
    while True:
        raw, is_record, headers_size, value_size = _read_frame(descriptor, offset, end, seq, index)
        headers = os.pread(descriptor, headers_size, offset + FRAME_BYTES)
        value = os.pread(descriptor, value_size, offset + FRAME_BYTES + headers_size)
        crc = google_crc32c.extend(google_crc32c.extend(crc, raw[_CHECKED_FROM:] + headers), value)
        if crc != _FRAME.unpack(raw)[1]:
            raise BrokenFrame(offset, f"the checksum of a record of item {seq} does not match")
        offset += FRAME_BYTES + headers_size + value_size
        if not is_record:
            yield None, offset
            return
        yield SpoolRecord(seq, _FRAME.unpack(raw)[4], _unpack_headers(headers, offset), value), offset
        index += 1


def skip_item(descriptor: int, offset: int, end: int, seq: int) -> int:
    """Return where the item after this one begins; only sizes are looked at.

    Raises
    ------
    BrokenFrame
        If there is no whole item.
    """
    is_record, index = True, 0
    while is_record:
        _, is_record, headers_size, value_size = _read_frame(descriptor, offset, end, seq, index)
        offset += FRAME_BYTES + headers_size + value_size
        index += 1
    return offset


def _read_frame(descriptor: int, offset: int, end: int, seq: int, index: int) -> tuple[bytes, bool, int, int]:
    """Read the fixed part of the index-th frame of an item; its sizes can then be relied on."""
    raw = os.pread(descriptor, min(FRAME_BYTES, max(0, end - offset)), offset)
    if len(raw) < FRAME_BYTES:
        raise BrokenFrame(offset, f"item {seq} has no end")
    magic, _, said_seq, said_index, _, headers_size, value_size = _FRAME.unpack(raw)
    if magic not in (_RECORD, _CLOSING) or (said_seq, said_index) != (seq, index):
        raise BrokenFrame(offset, f"frame {index} of item {seq} is not there")
    if headers_size > MAX_HEADERS_BYTES or value_size > MAX_VALUE_BYTES or index > MAX_RECORDS:
        raise BrokenFrame(offset, f"item {seq} has a record that is larger than any can be")
    if headers_size + value_size > end - offset - FRAME_BYTES:
        raise BrokenFrame(offset, f"item {seq} has no end")
    return raw, magic == _RECORD, headers_size, value_size


def _record_size(headers: Headers, value: Value) -> int:
    size = len(value) if isinstance(value, bytes) else value.nbytes
    if size > MAX_VALUE_BYTES:
        raise ValueError(f"a value of {size} bytes exceeds the limit of {MAX_VALUE_BYTES}")
    if (packed := 2 + sum(4 + len(key.encode()) + len(text) for key, text in headers)) > MAX_HEADERS_BYTES:
        raise ValueError(f"headers of {packed} bytes exceed the limit of {MAX_HEADERS_BYTES}")
    return FRAME_BYTES + packed + size


def _bytes_of(value: Value) -> memoryview:
    if isinstance(value, bytes):
        return memoryview(value)
    if not value.flags.c_contiguous:
        raise ValueError("a value must be C-contiguous")
    flat: Any = value.reshape(-1).view(np.uint8)
    return memoryview(flat)


def _pack_headers(headers: Headers) -> bytes:
    parts = [len(headers).to_bytes(2, "little")]
    for key, value in headers:
        name = key.encode()
        parts += [struct.pack("<HH", len(name), len(value)), name, value]
    return b"".join(parts)


def _unpack_headers(raw: bytes, offset: int) -> Headers:
    """Take headers apart; they have the right checksum, so that only a writer's fault can make them wrong."""
    headers, at = [], 2
    try:
        for _ in range(int.from_bytes(raw[:2], "little")):
            key_size, value_size = struct.unpack_from("<HH", raw, at)
            at += 4 + key_size + value_size
            headers.append(
                (raw[at - key_size - value_size : at - value_size].decode(), raw[at - value_size : at])
            )
    except (struct.error, UnicodeDecodeError) as error:
        raise BrokenFrame(offset, f"headers cannot be read: {error}") from None
    if at != len(raw):
        raise BrokenFrame(offset, "headers do not have the size that is said")
    return headers
