"""How fast the solver is: a Gray-Scott step against a copy of its state and against plain numpy slices."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import Contestant, interleaved, median_ratio, summary

from lockstream.mpi_jobs.domain import Domain
from lockstream.mpi_jobs.fields import interiors, padded_arrays
from lockstream.mpi_jobs.models.gray_scott import PATTERNS, GrayScott, GrayScottParameters

SHAPE = (2048, 2048)
SPACING = 2.5 / 256
DT, DU, DV, (F, K) = 1.0, 2e-5, 1e-5, PATTERNS["theta"]
GOAL_OVER_NUMPY = 10.0

Array = np.ndarray[Any, Any]
Step = Callable[[], None]


def measure(rounds: int) -> list[dict[str, Any]]:
    """Race a step of the solver on one rank, 2048 x 2048 float32, against its limit and against numpy.

    Returns
    -------
    list of dict
        Speed over that of a copy, which reads and writes as many bytes as a perfect step; over numpy slices
        as one writes them down; and over numpy slices that allocate nothing.

    Raises
    ------
    RuntimeError
        If the contestants do not compute the same.
    """
    domain = Domain(shape=SHAPE, spacing=(SPACING, SPACING))
    model = GrayScott(GrayScottParameters(pattern="theta", dt=DT), domain)
    state = model.initial_state(np.random.default_rng(0))
    solver, solved = _solver_step(model, state)
    slices, sliced = _numpy_step(state)
    in_place, placed = _numpy_step_in_place(state)
    seconds = interleaved(
        {
            "copy": _timed(_copy(state)),
            "solver": _timed(solver),
            "numpy slices": _timed(slices),
            "numpy slices in place": _timed(in_place),
        },
        rounds,
    )
    for results in (sliced, placed):
        if not np.allclose(results, solved, rtol=0, atol=1e-6):
            raise RuntimeError("the contestants do not compute the same: there is nothing to compare")
    return [
        {
            "title": "solver: speed over a numpy copy of its state",
            "ratio": median_ratio(seconds, "copy", "solver"),
            "seconds": summary(seconds),
        },
        {
            "title": "solver: speed over plain numpy slices",
            "ratio": median_ratio(seconds, "numpy slices", "solver"),
            "goal": GOAL_OVER_NUMPY,
        },
        {
            "title": "solver: speed over numpy slices without temporaries",
            "ratio": median_ratio(seconds, "numpy slices in place", "solver"),
        },
    ]


def _timed(step: Step) -> Contestant:
    def once() -> float:
        started = time.perf_counter()
        step()
        return time.perf_counter() - started

    return once


def _copy(state: dict[str, Array]) -> Step:
    source = np.stack(list(state.values()))
    target = np.empty_like(source)
    return lambda: np.copyto(target, source)


def _solver_step(model: GrayScott, state: dict[str, Array]) -> tuple[Step, list[Array]]:
    arrays = padded_arrays(4, SHAPE, np.dtype(np.float32))
    old, new = arrays[:2], arrays[2:]
    for array, field in zip(old, state.values(), strict=True):
        array[:, : SHAPE[1] + 2] = np.pad(field, 1, mode="wrap")
    return lambda: model.step(old, new, SHAPE), interiors(new, SHAPE)


def _numpy_step(state: dict[str, Array]) -> tuple[Step, list[Array]]:
    u, v = (np.pad(field, 1, mode="wrap") for field in state.values())
    new_u, new_v = u.copy(), v.copy()

    def laplacian(a: Array) -> Array:
        curved: Array = a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:] - 4 * a[1:-1, 1:-1]
        return curved / SPACING**2

    def step() -> None:
        a, b = u[1:-1, 1:-1], v[1:-1, 1:-1]
        reaction = a * b * b
        new_u[1:-1, 1:-1] = a + DT * (DU * laplacian(u) - reaction + F * (1 - a))
        new_v[1:-1, 1:-1] = b + DT * (DV * laplacian(v) + reaction - (F + K) * b)

    return step, [new_u[1:-1, 1:-1], new_v[1:-1, 1:-1]]


def _numpy_step_in_place(state: dict[str, Array]) -> tuple[Step, list[Array]]:
    """Every operation writes into an array made before: what a careful numpy user arrives at."""
    u, v = (np.pad(field, 1, mode="wrap") for field in state.values())
    reaction, change, new_u, new_v = (np.empty(SHAPE, np.float32) for _ in range(4))

    def diffuse(a: Array, coefficient: float) -> None:
        np.multiply(a[1:-1, 1:-1], -4, out=change)
        for neighbour in (a[:-2, 1:-1], a[2:, 1:-1], a[1:-1, :-2], a[1:-1, 2:]):
            np.add(change, neighbour, out=change)
        np.multiply(change, coefficient, out=change)

    def step() -> None:
        a, b = u[1:-1, 1:-1], v[1:-1, 1:-1]
        np.multiply(b, b, out=reaction)
        np.multiply(reaction, a, out=reaction)
        np.multiply(reaction, DT, out=reaction)
        diffuse(u, DT * DU / SPACING**2)
        np.multiply(a, 1 - DT * F, out=new_u)
        np.add(new_u, change, out=new_u)
        np.subtract(new_u, reaction, out=new_u)
        np.add(new_u, DT * F, out=new_u)
        diffuse(v, DT * DV / SPACING**2)
        np.multiply(b, 1 - DT * (F + K), out=new_v)
        np.add(new_v, change, out=new_v)
        np.add(new_v, reaction, out=new_v)

    return step, [new_u, new_v]
