"""Both models once more, written as plainly as numpy allows and independent of ours: periodic, global arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def laplacian(a: Array, spacing: tuple[float, float]) -> Array:
    along_y, along_x = (
        (np.roll(a, 1, axis) + np.roll(a, -1, axis) - 2 * a) / h**2 for axis, h in enumerate(spacing)
    )
    result: Array = along_y + along_x
    return result


def heat(T: Array, steps: int, *, diffusivity: float, dt: float, spacing: tuple[float, float]) -> Array:
    for _ in range(steps):
        T = T + dt * diffusivity * laplacian(T, spacing)
    return T


def gray_scott(
    u: Array,
    v: Array,
    steps: int,
    *,
    F: float,
    k: float,
    Du: float,
    Dv: float,
    dt: float,
    spacing: tuple[float, float],
) -> tuple[Array, Array]:
    for _ in range(steps):
        reaction = u * v**2
        u, v = (
            u + dt * (Du * laplacian(u, spacing) - reaction + F * (1 - u)),
            v + dt * (Dv * laplacian(v, spacing) + reaction - (F + k) * v),
        )
    return u, v


def wrapped(field: Array) -> Array:
    """With a periodic halo of one element all around."""
    return np.pad(field, 1, mode="wrap")


def run_model(
    step: Callable[[list[Array], list[Array]], None], fields: list[Array], steps: int
) -> list[Array]:
    """Advance global fields by a model's `step` on one rank, the halo filled by numpy."""
    for _ in range(steps):
        old = [wrapped(field) for field in fields]
        new = [np.zeros_like(a) for a in old]
        step(old, new)
        fields = [a[1:-1, 1:-1] for a in new]
    return fields
