"""The rectangle that a simulation covers."""

import math
from typing import Any, Literal

import msgspec
import numpy as np

from lockstream.bridge.errors import ConfigurationError


class Domain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[domain]`` table; the domain is periodic in both directions.

    Parameters
    ----------
    shape
        Elements along y and x, e.g. (512, 512).
    spacing
        Distance of neighbours along y and x, in the model's unit of length.
    dtype
        Of the fields, ``"float32"`` or ``"float64"``.
    grid
        Ranks along y and x; left out, the grid with the shortest halos is taken.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float] = (1.0, 1.0)
    dtype: Literal["float32", "float64"] = "float32"
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ConfigurationError("domain.shape", list(self.shape), "both sizes must be at least 1")
        if not all(0 < h < math.inf for h in self.spacing):
            raise ConfigurationError("domain.spacing", list(self.spacing), "both must be positive and finite")

    @property
    def cell_area(self) -> float:
        """Area that one element stands for, in units of length squared."""
        return self.spacing[0] * self.spacing[1]

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype as numpy has it."""
        return np.dtype(self.dtype)
