"""The Gray-Scott reaction: two chemicals that diffuse and react into spots, stripes and chaos."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np

from lockstream.mpi_jobs.decomposition import Array, Shape
from lockstream.mpi_jobs.domain import Domain
from lockstream.mpi_jobs.kernels import compiled
from lockstream.mpi_jobs.models import FieldInfo

PATTERNS: dict[str, tuple[float, float]] = {
    "alpha": (0.010, 0.047),
    "beta": (0.026, 0.051),
    "gamma": (0.022, 0.051),
    "delta": (0.030, 0.055),
    "epsilon": (0.018, 0.055),
    "zeta": (0.025, 0.060),
    "eta": (0.034, 0.063),
    "theta": (0.030, 0.057),
    "iota": (0.046, 0.0594),
    "kappa": (0.050, 0.063),
    "lambda": (0.026, 0.061),
    "mu": (0.046, 0.065),
}
"""(F, k) in each of Pearson's classes α to μ.

The classes: J. E. Pearson, *Complex Patterns in a Simple System*, Science 261 (1993) 189-192,
doi:10.1126/science.261.5118.189. One point in each, after R. Munafo, *Pearson's Classification (Extended) of
Gray-Scott System Parameter Values*, mrob.com/pub/comp/xmorphia/pearson-classes.html.
"""

SEED_WIDTH = 20  # elements; Pearson's square in the middle of 256 x 256
ELEMENTS_PER_SEED = 64 * 64
NOISE = 0.01

Positive = Annotated[float, msgspec.Meta(gt=0)]
Pattern = Literal[
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"
]


class GrayScottParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[model]`` table of ``gray-scott``.

    Parameters
    ----------
    pattern
        One of Pearson's classes: gives F and k.
    F, k
        Feed and kill rate, per unit of time; each takes the place of the pattern's.
    Du, Dv
        Diffusivities, in units of length squared per time; the defaults are Pearson's, who takes 256 x 256
        elements for a square of 2.5 x 2.5 (a spacing of 0.009765625) and dt = 1.
    dt
        Time step; left out, 0.8 of the largest stable one.
    seeds
        Number of squares of 20 x 20 elements in which the reaction starts, at random places; left out,
        one for every 64 x 64 elements.
    """

    pattern: Pattern = "theta"
    F: Annotated[float, msgspec.Meta(ge=0)] | None = None
    k: Annotated[float, msgspec.Meta(ge=0)] | None = None
    Du: Positive = 2e-5
    Dv: Positive = 1e-5
    dt: Positive | None = None
    seeds: Annotated[int, msgspec.Meta(ge=1)] | None = None


class GrayScott:
    """∂u/∂t = Du ∇²u − u v² + F (1 − u) and ∂v/∂t = Dv ∇²v + u v² − (F + k) v.

    Forward Euler in time, second-order central differences in space, as in Pearson's paper.

    Notes
    -----
    `largest_stable_dt` is the limit of small disturbances of the rest state u = 1, v = 0: with
    λ = 4/Δy² + 4/Δx² the amplification factors 1 − dt (Du λ + F) and 1 − dt (Dv λ + F + k) must not
    exceed 1 in magnitude. It is necessary; a violent initial state can ask for less.
    """

    Parameters: ClassVar[type[msgspec.Struct]] = GrayScottParameters
    fields: ClassVar[tuple[FieldInfo, ...]] = (
        FieldInfo("u", "1", "concentration of the substrate U"),
        FieldInfo("v", "1", "concentration of the autocatalyst V"),
    )
    steerable: ClassVar[frozenset[str]] = frozenset({"F", "k", "Du", "Dv"})

    def __init__(self, parameters: GrayScottParameters, domain: Domain) -> None:
        p, (dy, dx) = parameters, domain.spacing
        F, k = (
            own if own is not None else preset
            for own, preset in zip((p.F, p.k), PATTERNS[p.pattern], strict=True)
        )
        curvature = 4 / dy**2 + 4 / dx**2
        self._domain = domain
        self._seeds = p.seeds or max(1, domain.shape[0] * domain.shape[1] // ELEMENTS_PER_SEED)
        self.largest_stable_dt = 2 / max(p.Du * curvature + F, p.Dv * curvature + F + k)
        dt = self.dt = p.dt or 0.8 * self.largest_stable_dt
        self.parameters = msgspec.structs.replace(p, F=F, k=k, dt=dt, seeds=self._seeds)
        rates = (p.Du / dy**2, p.Du / dx**2, p.Dv / dy**2, p.Dv / dx**2, 1.0, F, F + k)
        self._coefficients = [domain.numpy_dtype.type(dt * rate) for rate in rates]

    def initial_state(self, random: np.random.Generator) -> dict[str, Array]:
        """Start from rest (1, 0) with squares of (1/2, 1/4), all with 1 % of noise, as Pearson did."""
        ny, nx = self._domain.shape
        u, v = np.ones((ny, nx)), np.zeros((ny, nx))
        span = np.arange(SEED_WIDTH)
        for y, x in random.integers((ny, nx), size=(self._seeds, 2)):
            square = np.ix_((y + span) % ny, (x + span) % nx)
            u[square], v[square] = 0.5, 0.25
        for field in (u, v):
            field *= random.uniform(1 - NOISE, 1 + NOISE, size=field.shape)
        dtype = self._domain.numpy_dtype
        return {"u": u.astype(dtype), "v": v.astype(dtype)}

    def step(self, old: Sequence[Array], new: Sequence[Array], shape: Shape) -> None:
        """Advance by `dt`."""
        u, v = old
        new_u, new_v = new
        _react_and_diffuse(u, v, new_u, new_v, *shape, *self._coefficients)

    def integrals(self, fields: Sequence[Array], shape: Shape, totals: Sequence[float]) -> dict[str, float]:
        """Mass of both substances, ∫(u + v) dA."""
        return {"mass": sum(totals) * self._domain.cell_area}


@compiled
def _react_and_diffuse(
    u: Array,
    v: Array,
    new_u: Array,
    new_v: Array,
    ny: int,
    nx: int,
    u_along_y: float,
    u_along_x: float,
    v_along_y: float,
    v_along_x: float,
    reaction: float,
    feed: float,
    loss: float,
) -> None:
    """Do one step in a single sweep; every coefficient has dt in it and the dtype of the fields."""
    for i in range(1, ny + 1):
        for j in range(1, nx + 1):
            a, b = u[i, j], v[i, j]
            converted = reaction * (a * b * b)
            new_u[i, j] = (
                a
                + u_along_y * (u[i - 1, j] + u[i + 1, j] - (a + a))
                + u_along_x * (u[i, j - 1] + u[i, j + 1] - (a + a))
                - converted
                + (feed - feed * a)
            )
            new_v[i, j] = (
                b
                + v_along_y * (v[i - 1, j] + v[i + 1, j] - (b + b))
                + v_along_x * (v[i, j - 1] + v[i, j + 1] - (b + b))
                + converted
                - loss * b
            )
