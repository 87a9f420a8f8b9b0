"""Heat conduction: explicit diffusion of a temperature."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from lockstream.mpi_jobs.decomposition import Array, Shape
from lockstream.mpi_jobs.domain import Domain
from lockstream.mpi_jobs.kernels import compiled
from lockstream.mpi_jobs.models import FieldInfo

SPOT_RADIUS = 0.05  # of the domain's length


class HeatParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[model]`` table of ``heat``.

    Parameters
    ----------
    diffusivity
        κ, in units of length squared per time.
    dt
        Time step; left out, 0.8 of the largest stable one.
    spots
        Number of warm spots that it starts with, at random places.
    """

    diffusivity: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    dt: Annotated[float, msgspec.Meta(gt=0)] | None = None
    spots: Annotated[int, msgspec.Meta(ge=1)] = 8


class Heat:
    """∂T/∂t = κ ∇²T, by forward Euler in time and second-order central differences in space.

    Notes
    -----
    Stable for dt ≤ 1 / (2 κ (1/Δy² + 1/Δx²)), by von Neumann's analysis: e.g. LeVeque, *Finite Difference
    Methods for Ordinary and Partial Differential Equations*, SIAM 2007, section 9.5.
    """

    Parameters: ClassVar[type[msgspec.Struct]] = HeatParameters
    fields: ClassVar[tuple[FieldInfo, ...]] = (FieldInfo("temperature", "1", "temperature above ambient"),)
    steerable: ClassVar[frozenset[str]] = frozenset({"diffusivity"})

    def __init__(self, parameters: HeatParameters, domain: Domain) -> None:
        dy, dx = domain.spacing
        self._domain, self._spots = domain, parameters.spots
        self.largest_stable_dt = 0.5 / (parameters.diffusivity * (1 / dy**2 + 1 / dx**2))
        self.dt = parameters.dt or 0.8 * self.largest_stable_dt
        self.parameters = msgspec.structs.replace(parameters, dt=self.dt)
        scalar = domain.numpy_dtype.type
        self._along_y = scalar(self.dt * parameters.diffusivity / dy**2)
        self._along_x = scalar(self.dt * parameters.diffusivity / dx**2)

    def initial_state(self, random: np.random.Generator) -> dict[str, Array]:
        """Put Gaussian spots of peak temperature 1 at random places; the rest is at 0."""
        ny, nx = self._domain.shape
        temperature = np.zeros(self._domain.shape, self._domain.numpy_dtype)
        for y, x in random.random((self._spots, 2)):
            temperature += np.outer(_periodic_gaussian(ny, y), _periodic_gaussian(nx, x)).astype(
                temperature.dtype
            )
        return {"temperature": temperature}

    def step(self, old: Sequence[Array], new: Sequence[Array], shape: Shape) -> None:
        """Advance by `dt`."""
        _diffuse(old[0], new[0], *shape, self._along_y, self._along_x)

    def integrals(self, fields: Sequence[Array], shape: Shape, totals: Sequence[float]) -> dict[str, float]:
        """Heat content ∫T dA, which diffusion conserves."""
        return {"heat": totals[0] * self._domain.cell_area}


def _periodic_gaussian(n: int, centre: float) -> Array:
    """Bell around `centre` in a periodic interval of length 1, at n points."""
    distance = np.abs(np.arange(n) / n - centre)
    distance = np.minimum(distance, 1 - distance)
    bell: Array = np.exp(-0.5 * (distance / SPOT_RADIUS) ** 2)
    return bell


@compiled
def _diffuse(old: Array, new: Array, ny: int, nx: int, along_y: float, along_x: float) -> None:
    for i in range(1, ny + 1):
        for j in range(1, nx + 1):
            t = old[i, j]
            new[i, j] = (
                t
                + along_y * (old[i - 1, j] + old[i + 1, j] - (t + t))
                + along_x * (old[i, j - 1] + old[i, j + 1] - (t + t))
            )
