"""How a field is cut into tiles: pure index arithmetic.

A tile is a slab that is contiguous in the field's C order, so that its bytes can be sent, and stored as an
HDF5 chunk, without being packed.
"""

import math
from collections.abc import Iterator

Sizes = tuple[int, ...]


def tile_shape(shape: Sizes, itemsize: int, limit: int) -> Sizes:
    """Shape of the largest contiguous slab of at most `limit` bytes.

    Where a divisor of the cut axis comes within a factor of two of the limit it is taken, because then
    no tile is cut off at the far edge.

    Parameters
    ----------
    shape
        Global shape of the field.
    itemsize
        Bytes of one element; at most `limit`.
    limit
        Bytes that a tile may have.

    Examples
    --------
    >>> tile_shape((2048, 2048), 4, 1 << 19)
    (64, 2048)
    >>> tile_shape((1000,), 8, 4096)
    (500,)
    """
    inner = itemsize
    for axis in reversed(range(len(shape))):
        if inner * shape[axis] > limit:
            most = max(1, limit // inner)
            return (1,) * axis + (_even_share(shape[axis], most),) + shape[axis + 1 :]
        inner *= shape[axis]
    return shape


def tile_counts(shape: Sizes, tile: Sizes) -> Sizes:
    """How many tiles a field has along each axis."""
    return tuple(-(-n // t) for n, t in zip(shape, tile, strict=True))


def tile_offsets(shape: Sizes, tile: Sizes) -> Iterator[tuple[Sizes, Sizes]]:
    """Yield ``(offset, extent)`` of each tile of a field, in C order; edge tiles are cut off."""
    counts = tile_counts(shape, tile)
    for index in range(math.prod(counts)):
        offset = []
        for count, size in zip(reversed(counts), reversed(tile), strict=True):
            index, position = divmod(index, count)
            offset.append(position * size)
        offset.reverse()
        yield (
            tuple(offset),
            tuple(min(t, n - o) for t, n, o in zip(tile, shape, offset, strict=True)),
        )


def _even_share(length: int, most: int) -> int:
    for size in range(most, most // 2, -1):
        if length % size == 0:
            return size
    return most
