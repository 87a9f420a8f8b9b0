"""Compiled loops: how all of them are compiled, and the ones that every simulation needs."""

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np

from lockstream.bridge.errors import MissingExtra
from lockstream.mpi_jobs.decomposition import Array

try:
    import numba
except ImportError:
    raise MissingExtra("numba", "models", "a simulation") from None

F = TypeVar("F", bound=Callable[..., object])
STRIP = 8  # rows that a reduction takes at a time: its running extremes are fetched and put back once for all of them


def compiled(function: F) -> F:
    """Compile `function` to machine code at its first call and keep the result on disk.

    Floating-point operations stay in the order in which they are written: an element then has the same
    value, bit for bit, whichever rank computes it. The GIL is released meanwhile.
    """
    return _compiled(function, fastmath=False)


def compiled_reduction(function: F) -> F:
    """Compile a loop that sums up, and let the processor add several elements at a time.

    The order of the additions is then the compiler's; results agree to rounding only.
    """
    return _compiled(function, fastmath={"reassoc", "nsz"})


def _compiled(function: F, fastmath: bool | set[str]) -> F:
    try:
        return cast(F, numba.njit(cache=True, nogil=True, fastmath=fastmath)(function))
    except RuntimeError:  # nowhere to keep it: a read-only installation and no home
        return cast(F, numba.njit(nogil=True, fastmath=fastmath)(function))


@compiled_reduction
def interior_statistics(array: Array, ny: int, nx: int) -> tuple[float, float, float, float]:
    """Return sum, sum of squares, minimum and maximum over the interior of a padded array, in one sweep.

    Sums are taken strip by strip in double precision, so that the error does not grow with the number of elements.
    A NaN or an infinity anywhere makes the sum of squares NaN or infinite; for the extremes NaNs count as
    anything. Extremes are kept per column until the end: the compiler does not vectorise a minimum within a row
    (8x slower).
    """
    total, squares = 0.0, 0.0
    low, high = array[1].copy(), array[1].copy()
    strips = ny // STRIP
    for strip in range(strips):
        strip_total, strip_squares = 0.0, 0.0
        for j in range(1, nx + 1):
            lowest, highest = low[j], high[j]
            for row in range(STRIP):
                value = array[1 + strip * STRIP + row, j]
                wide = np.float64(value)  # float() would stay single: squares would lose half their digits
                strip_total += wide
                strip_squares += wide * wide
                lowest = value if value < lowest else lowest
                highest = value if value > highest else highest
            low[j], high[j] = lowest, highest
        total += strip_total
        squares += strip_squares
    for i in range(1 + strips * STRIP, ny + 1):
        for j in range(1, nx + 1):
            value = array[i, j]
            wide = np.float64(value)
            total += wide
            squares += wide * wide
            low[j] = value if value < low[j] else low[j]
            high[j] = value if value > high[j] else high[j]
    return total, squares, low[1 : nx + 1].min(), high[1 : nx + 1].max()
