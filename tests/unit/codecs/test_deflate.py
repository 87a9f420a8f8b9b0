"""A compressed tile is an HDF5 chunk, whatever it holds; what is not exactly one is refused in bounded memory."""

import tracemalloc
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lockstream.bridge.codecs import deflate, inflate
from lockstream.bridge.errors import WireError
from lockstream.bridge.messages import DTYPES, MAX_TILE_BYTES

Array = np.ndarray[Any, Any]
SMOOTH = np.sin(np.arange(1000, dtype="f4") / 50).round(3)
TILE = deflate(SMOOTH)
BOMB = zlib.compress(bytes(1 << 26), 9)

any_array = st.sampled_from(list(DTYPES.values())).flatmap(
    lambda dtype: arrays(dtype, array_shapes(max_dims=4, max_side=9))
)


def shuffled_deflated(elements: Array, level: int) -> bytes:
    """HDF5's two filters, written down a second time."""
    rows = elements.reshape(-1).view(np.uint8).reshape(-1, elements.itemsize)
    return zlib.compress(rows.T.tobytes(), level)


def stored_as_chunk(elements: Array, payload: bytes, levels: int = 4) -> Array:
    """What h5py's own filters make of `payload` as the only chunk of a dataset."""
    with h5py.File.in_memory() as file:
        variable = file.create_dataset(
            "x", elements.shape, elements.dtype, chunks=elements.shape, shuffle=True, compression=levels
        )
        variable.id.write_direct_chunk((0,) * elements.ndim, payload)
        read: Array = variable[()]
    return read


@given(any_array)
def test_hdf5_reads_it_bit_for_bit(elements: Array) -> None:
    payload = deflate(elements)
    assert stored_as_chunk(elements, payload).tobytes() == elements.tobytes()
    assert inflate(payload, elements.itemsize, elements.nbytes) == elements.tobytes()


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_a_tile_of_full_size_of_every_dtype(dtype: np.dtype[Any]) -> None:
    numbers = np.random.default_rng(1).integers(0, 200, MAX_TILE_BYTES // dtype.itemsize)
    elements = numbers.astype(dtype).reshape(2, -1)
    payload = deflate(elements)
    assert len(payload) < elements.nbytes
    assert stored_as_chunk(elements, payload).tobytes() == elements.tobytes()


@given(any_array, st.integers(0, 9))
def test_what_others_compress_is_read_too(elements: Array, level: int) -> None:
    payload = shuffled_deflated(elements, level)
    assert inflate(payload, elements.itemsize, elements.nbytes) == elements.tobytes()


def test_elements_need_not_be_contiguous() -> None:
    field = np.arange(200, dtype="f8").reshape(10, 20)
    assert inflate(deflate(field[:, 5:15]), 8, 800) == field[:, 5:15].tobytes()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        TILE[:2],
        TILE[: len(TILE) // 2],
        TILE[:-4],
        TILE[:-1],
        TILE + b"\0",
        TILE + TILE,
        TILE[:-1] + bytes([TILE[-1] ^ 1]),
        TILE[2:-4],
        SMOOTH.tobytes(),
        zlib.compress(b""),
        zlib.compress(bytes(3999)),
        zlib.compress(bytes(4001)),
        zlib.compress(SMOOTH.tobytes(), wbits=31),
    ],
)
def test_anything_but_exactly_the_elements_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError, match="the value"):
        inflate(payload, 4, 4000)


def test_a_header_for_which_hdf5_has_no_window_is_refused() -> None:
    for first, second in product(range(256), range(256)):
        payload = bytes([first, second]) + TILE[2:]
        is_zlib = first & 15 == 8 and first >> 4 <= 7 and (first << 8 | second) % 31 == 0
        if not is_zlib:
            with pytest.raises(WireError):
                inflate(payload, 4, 4000)


@given(st.integers(2, len(TILE) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_hdf5_reads_the_same(place: int, bit: int) -> None:
    payload = bytearray(TILE)
    payload[place] ^= 1 << bit
    try:
        raw = inflate(bytes(payload), 4, 4000)
    except WireError:
        return
    assert stored_as_chunk(SMOOTH, bytes(payload)).tobytes() == raw


@pytest.mark.parametrize("claimed", [4, 1 << 16, 1 << 20])
def test_a_bomb_takes_no_more_memory_than_it_claims(claimed: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match=f"does not inflate to the {claimed} bytes"):
            inflate(BOMB, 4, claimed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * claimed + len(BOMB) + (1 << 17)


def test_a_claim_takes_no_memory_that_is_not_needed() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            inflate(TILE, 4, 1 << 40)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 17


def test_a_file_keeps_it_over_its_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        variable = file.create_dataset("x", (2, 1000), "f4", chunks=(1, 1000), shuffle=True, compression=1)
        variable.id.write_direct_chunk((1, 0), TILE)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["x"][1].tobytes() == SMOOTH.tobytes()
        assert file["x"].id.read_direct_chunk((1, 0)) == (0, TILE)
