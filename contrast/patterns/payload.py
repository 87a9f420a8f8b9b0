"""What each participant gives in an exchange, and what it must have when it is over."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROOT = 0
REDUCTIONS = ("reduce", "all-reduce")
VALUES = 64  # six bits to a byte: about as little to compress as in the fields of a simulation
_APART = 4099  # elements between the places in the noise where two blocks begin


@dataclass(frozen=True, slots=True)
class Payload:
    """One participant's part.

    Parameters
    ----------
    mine, got, due
        What it gives, where it gets what it is due, and what that is: each of shape (blocks, elements); bytes,
        or in reductions doubles with whole numbers in them, whose sum does not depend on the order.
    """

    mine: Array
    got: Array
    due: Array
    _addends: int = 1

    def prepare(self, number: int) -> None:
        """Give this exchange a number that shows in what is given and due; forget what was got."""
        stamp = number % VALUES
        self.mine[:, :1] = stamp
        self.due[:, :1] = stamp * self._addends
        self.got.fill(VALUES + 1)

    @property
    def is_right(self) -> bool:
        """Whether what was got is what is due."""
        return np.array_equal(self.got, self.due)


def payload(pattern: str, nbytes: int, rank: int, size: int) -> Payload:
    """Return the part of `rank` among `size` in an exchange of messages of `nbytes`."""
    dtype = np.dtype(np.float64 if pattern in REDUCTIONS else np.uint8)
    blocks = _Blocks(max(1, nbytes // dtype.itemsize) if nbytes else 0, size, dtype)
    is_root, is_last, everyone = rank == ROOT, rank == size - 1, range(size)
    mine, due = {
        "point-to-point": ([(ROOT, 0)] * is_root, [(ROOT, 0)] * is_last),
        "broadcast": ([(ROOT, 0)] * is_root, [(ROOT, 0)] * (not is_root)),
        "scatter": ([(ROOT, receiver) for receiver in everyone] * is_root, [(ROOT, rank)]),
        "gather": ([(rank, ROOT)], [(sender, ROOT) for sender in everyone] * is_root),
        "reduce": ([(rank, ROOT)], []),
        "all-reduce": ([(rank, ROOT)], []),
        "all-to-all": ([(rank, other) for other in everyone], [(other, rank) for other in everyone]),
        "barrier": ([], []),
    }[pattern]
    if pattern == "all-reduce" or (pattern == "reduce" and is_root):
        total = np.sum([blocks.of(sender, ROOT) for sender in everyone], axis=0)[np.newaxis]
        return Payload(blocks.rows(mine), np.empty_like(total), total, _addends=size)
    return Payload(blocks.rows(mine), np.empty_like(blocks.rows(due)), blocks.rows(due))


def delivered_bytes(pattern: str, nbytes: int, size: int) -> int:
    """Return the bytes that an exchange brings from one participant to another one, forwarding not counted."""
    others = size - 1
    messages = {
        "point-to-point": 1,
        "all-reduce": 2 * others,  # everyone's to one place, and the sum to everyone
        "all-to-all": size * others,
        "barrier": 0,
    }.get(pattern, others)
    return messages * nbytes


class _Blocks:
    """What one gives to another: a piece of the same noise, from another place for each pair."""

    def __init__(self, elements: int, size: int, dtype: np.dtype[Any]) -> None:
        self._elements, self._size = elements, size
        noise = np.random.default_rng(1).integers(0, VALUES, elements + size * size * _APART, np.uint8)
        self._noise = noise.astype(dtype, copy=False)

    def of(self, sender: int, receiver: int) -> Array:
        begin = (sender * self._size + receiver) * _APART
        return self._noise[begin : begin + self._elements]

    def rows(self, pairs: list[tuple[int, int]]) -> Array:
        rows = np.empty((len(pairs), self._elements), self._noise.dtype)
        for row, pair in zip(rows, pairs, strict=True):
            row[:] = self.of(*pair)
        return rows
