"""Rounding keeps its promise for every number, and what was promised stands in the archive."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.runs import TWO_FIELDS, FakeRun, archive

from lockstream.bridge.messages import Field, RunStarted
from lockstream.bridge.rounding import MANTISSA_BITS, relative_error_bound, round_mantissa

Array = np.ndarray[Any, Any]


@st.composite
def floats_and_bits(draw: st.DrawFn) -> tuple[Array, int]:
    dtype = draw(st.sampled_from(["f4", "f8"]))
    return draw(arrays(dtype, st.integers(1, 20))), draw(st.integers(1, MANTISSA_BITS[dtype] - 1))


def rounded(array: Array, keep_bits: int) -> Array:
    result = array.copy()
    round_mantissa(result, keep_bits)
    return result


@given(floats_and_bits())
def test_the_error_stays_within_the_bound(drawn: tuple[Array, int]) -> None:
    array, keep_bits = drawn
    result = rounded(array, keep_bits)
    normal = np.isfinite(array) & (np.abs(array) >= np.finfo(array.dtype).tiny)
    exact, near = array[normal].astype(np.longdouble), result[normal].astype(np.longdouble)
    assert (np.abs(near - exact) <= relative_error_bound(keep_bits) * np.abs(exact)).all()
    subnormal = ~normal & np.isfinite(array)
    limit = relative_error_bound(keep_bits) * np.finfo(array.dtype).tiny
    assert (np.abs(result[subnormal] - array[subnormal]) <= limit).all()


@given(floats_and_bits())
def test_what_is_not_finite_stays_bit_for_bit(drawn: tuple[Array, int]) -> None:
    array, keep_bits = drawn
    array[0], array[-1] = np.nan, -np.inf
    result = rounded(array, keep_bits)
    special = ~np.isfinite(array)
    assert result[special].tobytes() == array[special].tobytes()
    assert np.isfinite(result[~special]).all()


@given(floats_and_bits())
def test_rounding_again_changes_nothing(drawn: tuple[Array, int]) -> None:
    array, keep_bits = drawn
    once = rounded(array, keep_bits)
    assert rounded(once, keep_bits).tobytes() == once.tobytes()


@pytest.mark.parametrize(("dtype", "bits"), MANTISSA_BITS.items())
def test_every_payload_of_nan_stays(dtype: str, bits: int) -> None:
    first = np.array([np.inf], dtype).view(f"u{dtype[1]}")[0]
    payloads = first + np.array([1, 1 << (bits - 1), (1 << bits) - 1], first.dtype)
    array = payloads.view(dtype)
    assert np.isnan(array).all()
    assert rounded(array, 3).tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", MANTISSA_BITS)
def test_the_largest_numbers_do_not_become_infinite(dtype: str) -> None:
    array = np.array([np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    for keep_bits in range(1, MANTISSA_BITS[dtype]):
        assert rounded(array, keep_bits).tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", MANTISSA_BITS)
def test_ties_go_to_even(dtype: str) -> None:
    kept = [1 + i / 8 for i in range(9)]  # all that 3 bits can tell between 1 and 2
    ties = np.array([(a + b) / 2 for a, b in pairwise(kept)], dtype)
    even = [kept[i + i % 2] for i in range(8)]
    assert rounded(ties, 3).tolist() == even
    assert rounded(-ties, 3).tolist() == [-x for x in even]
    above = np.nextafter(ties, ties.dtype.type(3))
    assert rounded(above, 3).tolist() == kept[1:]
    assert rounded(np.nextafter(ties, ties.dtype.type(0)), 3).tolist() == kept[:-1]


@pytest.mark.parametrize("dtype", MANTISSA_BITS)
def test_only_the_kept_bits_are_left(dtype: str) -> None:
    array = rounded(np.random.default_rng(2).standard_normal((50, 40)).astype(dtype), 7)
    dropped = MANTISSA_BITS[dtype] - 7
    assert not (array.view(f"u{array.itemsize}") & ((1 << dropped) - 1)).any()


@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_the_archive_says_how_a_field_was_rounded(tmp_path: Path, on_end: str) -> None:
    run = FakeRun(fields=(*TWO_FIELDS, Field("p", (6, 5), "f8")), more={"rounding": {"u": 10, "p": 51}})
    archive(tmp_path, run.logs(range(3)), segment_bytes=1, on_end=on_end)
    with h5py.File(tmp_path / "fake" / "run.h5") as file:
        said = {
            name: (file[name].attrs["quantization_nsb"], file[name].attrs["maximum_relative_error"])
            for name in ("u", "p")
        }
        assert said == {"u": (10, 2.0**-11), "p": (51, 2.0**-52)}
        assert "quantization_nsb" not in file["n"].attrs
    with xarray.open_dataset(tmp_path / "fake" / "run.h5", engine="h5netcdf") as data:
        assert data["u"].attrs["maximum_relative_error"] == 2.0**-11


@pytest.mark.parametrize("rounding", [{"w": 10}, {"n": 10}, {"u": 0}, {"u": -1}, {"u": 23}, {"p": 52}])
def test_no_message_speaks_of_a_rounding_that_cannot_be(rounding: dict[str, int]) -> None:
    fields = (*TWO_FIELDS, Field("p", (6, 5), "f8"))
    started = FakeRun(fields=fields).started
    with pytest.raises(ValueError, match=rf"stream\.rounding\.{next(iter(rounding))} = "):
        RunStarted(run="r", fields=fields, tiles=started.tiles, rounding=rounding)
