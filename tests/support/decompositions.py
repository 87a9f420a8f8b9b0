"""Fields cut into the rectangles of ranks, and arrays that lie in memory in every way that numpy knows."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lockstream.bridge.messages import DTYPES

Array = np.ndarray[Any, Any]
Choose = Callable[[int, int], int]  # a number between two, both included
LAYOUTS = ("C", "Fortran", "interior", "every other", "backwards", "unaligned", "read-only")


class Rectangle(NamedTuple):
    """A part of a field: where it begins, and how far it goes."""

    offset: tuple[int, ...]
    extent: tuple[int, ...]

    @property
    def region(self) -> tuple[slice, ...]:
        return tuple(slice(o, o + e) for o, e in zip(self.offset, self.extent, strict=True))


def decompose(shape: Sequence[int], ranks: int, choose: Choose) -> list[Rectangle]:
    """Cut a field in two again and again, any part along any axis, and deal the parts; some are empty."""
    parts = [Rectangle((0,) * len(shape), tuple(shape))]
    while len(parts) < ranks:
        offset, extent = parts.pop(choose(0, len(parts) - 1))
        axis = choose(0, len(shape) - 1)
        cut = choose(0, extent[axis])
        before, after, behind = list(extent), list(extent), list(offset)
        before[axis], after[axis], behind[axis] = cut, extent[axis] - cut, offset[axis] + cut
        parts.insert(choose(0, len(parts)), Rectangle(offset, tuple(before)))
        parts.insert(choose(0, len(parts)), Rectangle(tuple(behind), tuple(after)))
    return parts


def random_choice(seed: Sequence[int]) -> Choose:
    """Choices that are the same wherever the seed is."""
    random = np.random.default_rng(seed)
    return lambda low, high: int(random.integers(low, high, endpoint=True))


def random_field(dtype: str, shape: Sequence[int], seed: Sequence[int]) -> Array:
    """A whole field: any integers, or normal numbers among which are NaN, infinity and a negative zero."""
    random, kind = np.random.default_rng(seed), DTYPES[dtype]
    size = int(np.prod(shape))
    if kind.kind in "iu":
        return np.frombuffer(random.bytes(size * kind.itemsize), kind).reshape(shape)
    real = random.standard_normal(size * kind.itemsize // np.dtype(kind.type(0).real.dtype).itemsize)
    real[random.integers(real.size)] = random.choice([np.nan, -np.inf, -0.0])
    return real.astype(kind.type(0).real.dtype).view(kind).reshape(shape)


def laid_out(values: Array, layout: str) -> Array:
    """The same elements, lying in memory as `layout` says."""
    if layout == "C":
        return values.copy()
    if layout == "Fortran":
        return values.copy(order="F")
    if layout == "read-only":
        values = values.copy()
        values.flags.writeable = False
        return values
    view = _view(values, layout)
    view[...] = values
    return view


def _view(values: Array, layout: str) -> Array:
    if layout == "interior":
        padded = np.zeros([n + 2 for n in values.shape], values.dtype)
        return padded[(slice(1, -1),) * values.ndim]
    if layout == "every other":
        return np.zeros([2 * n for n in values.shape], values.dtype)[(slice(None, None, 2),) * values.ndim]
    if layout == "backwards":
        return np.zeros(values.shape, values.dtype)[(slice(None, None, -1),) * values.ndim]
    if layout == "unaligned":
        record = np.dtype([("before", "i1"), ("value", values.dtype)])
        view: Array = np.zeros(values.shape, record)["value"]
        return view
    raise ValueError(layout)
