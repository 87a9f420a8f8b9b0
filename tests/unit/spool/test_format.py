"""The bytes of a spool's file: golden ones, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from support.spools import item

from lockstream.bridge.spool_format import (
    MAX_VALUE_BYTES,
    BrokenFrame,
    Mark,
    SpoolRecord,
    item_buffers,
    item_size,
    pack_header,
    pack_mark,
    read_item,
    unpack_start,
)

# docs/reference/spool.md shows these: they may never change within a version.
HEADER = "4c5353504f4f4c310700000000000000e5246c62000000000000000000000000"
MARK = "e8030000000000000300000000000000dd83a77d000000000000000000000000"
ITEM = (
    "4c5372631a283f90070000000000000000000000010000000800000005000000"
    "0100010001006b7676616c75654c536974a020e3010700000000000000010000"
    "00000000000000000000000000"
)


def written(tmp_path: Path, raw: bytes) -> int:
    path = tmp_path / "raw"
    path.write_bytes(raw)
    return os.open(path, os.O_RDONLY)


def read(tmp_path: Path, raw: bytes, seq: int) -> list[SpoolRecord]:
    descriptor = written(tmp_path, raw)
    try:
        return [record for record, _ in read_item(descriptor, 0, len(raw), seq) if record is not None]
    finally:
        os.close(descriptor)


def test_golden_bytes() -> None:
    assert pack_header(7).hex() == HEADER
    assert pack_mark(Mark(1000, 3)).hex() == MARK
    raw = b"".join(item_buffers(7, [(1, [("k", b"v")], b"value")]))
    assert raw.hex() == ITEM
    assert unpack_start(bytes.fromhex(HEADER + MARK)) == (7, Mark(1000, 3))


def test_arrays_are_read_again_as_their_bytes(tmp_path: Path) -> None:
    arrays = [np.arange(6, dtype=t).reshape(2, 3) for t in ("<f4", "<c16", ">i2", "u1")]
    records = [(0, [("k", b"v")], array) for array in arrays]
    raw = b"".join(item_buffers(3, records))
    assert len(raw) == item_size(records)
    assert [record.value for record in read(tmp_path, raw, 3)] == [array.tobytes() for array in arrays]


def test_values_are_views_and_not_copies() -> None:
    array = np.zeros(1000)
    views = [b for b in item_buffers(0, [(0, [], array)]) if isinstance(b, memoryview)]
    assert np.shares_memory(np.frombuffer(views[0], np.uint8), array)


def test_every_bit_is_under_a_checksum(tmp_path: Path) -> None:
    raw = b"".join(item_buffers(5, item(5)))
    for bit in range(8 * len(raw)):
        bent = bytearray(raw)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BrokenFrame):
            read(tmp_path, bytes(bent), 5)


def test_records_that_change_places_are_noticed(tmp_path: Path) -> None:
    buffers = [bytes(b) for b in item_buffers(5, item(5, 2))]
    with pytest.raises(BrokenFrame):
        read(tmp_path, b"".join([*buffers[2:4], *buffers[:2], buffers[4]]), 5)
    with pytest.raises(BrokenFrame):
        read(tmp_path, b"".join([*buffers[:2], buffers[4]]), 5)


def test_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    raw = bytearray(b"".join(item_buffers(5, item(5))))
    raw[24:32] = b"\xff" * 8
    with pytest.raises(BrokenFrame, match="larger than any can be"):
        read(tmp_path, bytes(raw), 5)


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([], "1 to"),
        ([(0, [], bytes(MAX_VALUE_BYTES + 1))], "limit"),
        ([(0, [("k", bytes(1 << 16))], b"")], "headers of"),
    ],
)
def test_what_could_not_be_read_again_is_refused(records: list[object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        item_size(records)  # type: ignore[arg-type]


def test_an_array_that_is_not_contiguous_is_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        list(item_buffers(0, [(0, [], np.zeros((4, 4))[:, 1])]))
