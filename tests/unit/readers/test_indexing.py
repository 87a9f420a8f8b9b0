"""Whatever is asked of a field over many segments, numpy would answer the same."""

from typing import Any

import numpy as np
import pytest
import xarray
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.runs import FakeRun, archive

from lockstream.bridge.messages import Field
from lockstream.kafka import open_run

RUN = FakeRun(fields=(Field("u", (4, 5, 6), "f8"),), tile_bytes=200, partitions=3)
STEPS = range(0, 33, 3)
WHOLE = np.stack([RUN.array("u", step) for step in STEPS])

AXES = ("step", "z", "y", "x")


@pytest.fixture(scope="module")
def u(tmp_path_factory: pytest.TempPathFactory) -> xarray.DataArray:
    folder = tmp_path_factory.mktemp("archive")
    archive(folder, RUN.logs(STEPS, None), segment_bytes=2000)
    return open_run(folder)["u"]


def numbers(size: int) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    return arrays(np.int64, st.integers(0, 12), elements=st.integers(-size, size - 1))


def slices(size: int) -> st.SearchStrategy[slice]:
    """Without those that are empty and go backwards: xarray refuses them, whatever file it reads."""
    return st.slices(size).filter(lambda key: bool(range(size)[key]) or (key.step or 1) > 0)


def along(size: int) -> st.SearchStrategy[Any]:
    """One axis' part of an orthogonal index."""
    masks = arrays(bool, size)
    return st.one_of(st.integers(-size, size - 1), slices(size), numbers(size), masks)


@given(keys=st.tuples(*(st.integers(-n, n - 1) | slices(n) for n in WHOLE.shape)), given=st.integers(0, 4))
def test_integers_and_slices(u: xarray.DataArray, keys: tuple[Any, ...], given: int) -> None:
    for key in (keys[:given], (..., *keys[given:])):
        assert u[key].shape == WHOLE[key].shape
        assert u[key].values.tobytes() == np.asarray(WHOLE[key]).tobytes()


@given(keys=st.tuples(*map(along, WHOLE.shape)))
def test_lists_and_masks_along_each_axis(u: xarray.DataArray, keys: tuple[Any, ...]) -> None:
    expected: Any = WHOLE
    for axis, key in reversed(list(enumerate(keys))):
        expected = expected[(slice(None),) * axis + (key,)]
    read = u.isel(dict(zip(AXES, keys, strict=True)))
    assert read.shape == expected.shape
    assert read.values.tobytes() == np.asarray(expected).tobytes()


@given(data=st.data())
def test_single_points(u: xarray.DataArray, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 10))
    keys = [data.draw(arrays(np.int64, count, elements=st.integers(-n, n - 1))) for n in WHOLE.shape]
    points = {axis: xarray.DataArray(key, dims="point") for axis, key in zip(AXES, keys, strict=True)}
    assert u.isel(points).values.tobytes() == WHOLE[tuple(keys)].tobytes()


@given(data=st.data())
def test_an_index_of_an_index(u: xarray.DataArray, data: st.DataObject) -> None:
    read, expected = u, WHOLE
    for _ in range(data.draw(st.integers(2, 4))):
        shown = range(len(expected))
        key = data.draw(slices(len(shown)).filter(lambda key, shown=shown: bool(shown[key])))
        read, expected = read[key], expected[key]
    assert read.values.tobytes() == expected.tobytes()


@pytest.mark.parametrize("step", STEPS)
def test_by_step_number(u: xarray.DataArray, step: int) -> None:
    assert u.sel(step=step, z=2.0).values.tobytes() == RUN.array("u", step)[2].tobytes()
    with pytest.raises(KeyError):
        u.sel(step=step + 1)
