import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from lockstream.bridge.tiles import tile_counts, tile_offsets, tile_shape

shapes = st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple)
itemsizes = st.sampled_from([1, 2, 4, 8, 16])


@given(shapes, itemsizes, st.integers(16, 4096))
@example((7, 11), 16, 16)
@example((1, 1, 1, 1), 1, 16)
def test_tiles_partition_the_field(shape: tuple[int, ...], itemsize: int, limit: int) -> None:
    tile = tile_shape(shape, itemsize, limit)
    hits = np.zeros(shape, int)
    pieces = list(tile_offsets(shape, tile))
    for offset, extent in pieces:
        hits[tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))] += 1
        assert all(e > 0 for e in extent)
    assert (hits == 1).all()
    assert len(pieces) == math.prod(tile_counts(shape, tile))
    assert [offset for offset, _ in pieces] == sorted(offset for offset, _ in pieces)


@given(shapes, itemsizes, st.integers(16, 4096))
def test_a_tile_is_contiguous_and_below_the_limit(shape: tuple[int, ...], itemsize: int, limit: int) -> None:
    field = np.empty(shape, f"V{itemsize}")
    for offset, extent in tile_offsets(shape, tile_shape(shape, itemsize, limit)):
        tile = field[tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))]
        assert tile.flags.c_contiguous
        assert tile.nbytes <= limit


@given(st.integers(1, 10**12), itemsizes, st.integers(16, 1 << 20))
def test_a_tile_is_never_much_smaller_than_it_could_be(length: int, itemsize: int, limit: int) -> None:
    (tile,) = tile_shape((length,), itemsize, limit)
    assert tile * itemsize <= limit
    assert tile == length or 2 * tile >= limit // itemsize


def test_an_even_share_is_preferred() -> None:
    assert tile_shape((1000,), 8, 4096) == (500,)
    assert tile_shape((2048, 2048), 4, 1 << 19) == (64, 2048)
    assert tile_shape((3, 5), 4, 1 << 19) == (3, 5)
