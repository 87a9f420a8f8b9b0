import math
from collections.abc import Callable

import numpy as np
import pytest

from lockstream.mpi_jobs.fields import interiors, padded_arrays
from lockstream.mpi_jobs.kernels import STRIP, compiled, interior_statistics


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 14), (7, 15), (64, 1000)])
def test_arrays_have_a_halo_aligned_rows_and_staggered_beginnings(dtype: str, shape: tuple[int, int]) -> None:
    arrays = padded_arrays(4, shape, np.dtype(dtype))
    for i, array in enumerate(arrays):
        assert array.flags.c_contiguous
        assert array.dtype == dtype
        assert array.shape[0] == shape[0] + 2
        assert array.shape[1] >= shape[1] + 2
        assert array.strides[0] % 64 == 0
        assert array.ctypes.data % 4096 == 1024 * i
    for i, interior in enumerate(interiors(arrays, shape)):
        interior[...] = i + 1
    for i, array in enumerate(arrays):  # and they do not share memory
        assert array.sum() == (i + 1) * shape[0] * shape[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, STRIP - 1, STRIP, 2 * STRIP, 4 * STRIP + 5])
def test_statistics_leave_the_halo_out_and_are_exact_to_rounding(dtype: str, rows: int) -> None:
    shape = (rows, 53)
    (array,) = padded_arrays(1, shape, np.dtype(dtype))
    array[...] = np.inf
    (interior,) = interiors([array], shape)
    interior[...] = np.random.default_rng(3).normal(1.0, 2.0, shape)
    values = interior.astype(np.float64).ravel()
    total, squares, low, high = interior_statistics(array, *shape)
    assert total == pytest.approx(math.fsum(values), rel=1e-14)
    assert squares == pytest.approx(math.fsum(values**2), rel=1e-14)
    assert (low, high) == (values.min(), values.max())


@pytest.mark.parametrize("row", range(1, 2 * STRIP + 4))
def test_extremes_are_found_in_every_row_of_a_strip_and_in_what_is_left_over(row: int) -> None:
    shape = (2 * STRIP + 3, 5)
    (array,) = padded_arrays(1, shape, np.dtype(np.float32))
    array[row, 2], array[row, 4] = -3.5, 7.25
    assert interior_statistics(array, *shape)[2:] == (-3.5, 7.25)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(1, 1), (1, 53), (37, 1), (20, 30)])
def test_one_bad_element_spoils_the_sum_of_squares(bad: float, place: tuple[int, int]) -> None:
    shape = (37, 53)
    (array,) = padded_arrays(1, shape, np.dtype(np.float32))
    array[place] = bad
    assert not math.isfinite(interior_statistics(array, *shape)[1])


def test_a_kernel_that_cannot_be_kept_on_disk_is_compiled_all_the_same() -> None:
    scope: dict[str, Callable[[float], float]] = {}
    exec("def double(x): return x + x", scope)  # noqa: S102 - it has no file, so numba finds no place for a cache
    assert compiled(scope["double"])(1.5) == 3.0
