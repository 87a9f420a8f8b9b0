"""What the how-to uses of two libraries that have no wheels; the real ones are taken where they are installed."""

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI


class DistArray(np.ndarray[Any, Any]):
    """Rows of a global array, as mpi4py-fft's class of this name describes them."""

    global_shape: tuple[int, ...]
    substart: tuple[int, ...]


class PFFT:
    def __init__(self, comm: "MPI.Comm", shape: tuple[int, ...], dtype: str) -> None:
        self.comm, self.shape, self.dtype = comm, shape, dtype


def newDistArray(fft: PFFT, forward_output: bool) -> DistArray:  # noqa: N802
    """Cut along the first axis in space, along the second one in the spectrum, which has half the last."""
    shape = [*fft.shape[:-1], fft.shape[-1] // 2 + 1] if forward_output else list(fft.shape)
    axis, rank, size = int(forward_output), fft.comm.rank, fft.comm.size
    first, last = shape[axis] * rank // size, shape[axis] * (rank + 1) // size
    local, start = shape.copy(), [0] * len(shape)
    local[axis], start[axis] = last - first, first
    array = np.zeros(local, "c16" if forward_output else fft.dtype).view(DistArray)
    array.global_shape, array.substart = tuple(shape), tuple(start)
    return array


class Vec:
    """The part of a global vector that a rank owns."""

    def __init__(self, local: "np.ndarray[Any, Any]") -> None:
        self.array_r = local


class DMDA:
    """A structured grid cut along its last axis (z of three); sizes and ranges are in the order x, y, z."""

    def __init__(self, comm: "MPI.Comm", sizes: tuple[int, ...], dof: int) -> None:
        self._sizes, self._dof = sizes, dof
        self._last = (sizes[-1] * comm.rank // comm.size, sizes[-1] * (comm.rank + 1) // comm.size)

    def getSizes(self) -> tuple[int, ...]:  # noqa: N802
        return self._sizes

    def getDim(self) -> int:  # noqa: N802
        return len(self._sizes)

    def getDof(self) -> int:  # noqa: N802
        return self._dof

    def getRanges(self) -> tuple[tuple[int, int], ...]:  # noqa: N802
        return (*((0, n) for n in self._sizes[:-1]), self._last)

    def vector(self) -> Vec:
        """Each element holds its place in the whole: x runs fastest, but for the degrees of freedom."""
        layer = int(np.prod(self._sizes[:-1])) * self._dof
        return Vec(np.arange(self._last[0] * layer, self._last[1] * layer, dtype="f8"))


def stand_in_for_mpi4py_fft() -> None:
    """Make ``import mpi4py_fft`` work where it is not installed."""
    if find_spec("mpi4py_fft") is None:
        module = ModuleType("mpi4py_fft")
        module.__dict__.update(PFFT=PFFT, newDistArray=newDistArray)
        sys.modules["mpi4py_fft"] = module
