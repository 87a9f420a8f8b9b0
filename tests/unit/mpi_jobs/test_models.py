"""The models on one rank, against exact solutions and against an independent implementation."""

from typing import Any

import numpy as np
import pytest
from support import reference

from lockstream.bridge.settings import convert
from lockstream.mpi_jobs.domain import Domain
from lockstream.mpi_jobs.errors import UnknownModel
from lockstream.mpi_jobs.models import Model, find_model
from lockstream.mpi_jobs.models.gray_scott import PATTERNS

Array = np.ndarray[Any, Any]


def make(name: str, domain: Domain, **parameters: object) -> Model:
    found = find_model(name)
    return found(convert(parameters, found.Parameters, "model"), domain)


def advance(model: Model, fields: list[Array], steps: int) -> list[Array]:
    shape = fields[0].shape
    assert len(shape) == 2
    return reference.run_model(lambda old, new: model.step(old, new, shape), fields, steps)


def fourier_mode(n: int) -> Array:
    """Wave number 1 along y and 2 along x, on n x n points of the unit square."""
    angle = 2 * np.pi * np.arange(n) / n
    return np.outer(np.cos(angle), np.sin(2 * angle))


def heat_error(n: int) -> float:
    """Largest error of a decaying Fourier mode at t = 0.01, dt proportional to the spacing squared."""
    steps, time = 16 * (n // 16) ** 2, 0.01
    domain = Domain(shape=(n, n), spacing=(1 / n, 1 / n), dtype="float64")
    model = make("heat", domain, diffusivity=0.25, dt=time / steps)
    (computed,) = advance(model, [fourier_mode(n)], steps)
    exact = fourier_mode(n) * np.exp(-0.25 * (2 * np.pi) ** 2 * (1 + 4) * time)
    return float(np.abs(computed - exact).max())


def test_a_fourier_mode_of_heat_decays_as_it_should_with_second_order() -> None:
    errors = [heat_error(n) for n in (16, 32, 64)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    assert errors[-1] < 1e-3
    assert orders == pytest.approx(2.0, abs=0.1)


def test_a_fourier_mode_is_multiplied_by_the_discrete_factor_in_each_step() -> None:
    n, steps = 32, 50
    domain = Domain(shape=(n, n), spacing=(0.5, 2.0), dtype="float64")
    model = make("heat", domain, diffusivity=0.01)
    symbol = sum(
        2 * (np.cos(2 * np.pi * k / n) - 1) / h**2 for k, h in zip((1, 2), domain.spacing, strict=True)
    )
    (computed,) = advance(model, [fourier_mode(n)], steps)
    assert computed == pytest.approx(fourier_mode(n) * (1 + model.dt * 0.01 * symbol) ** steps, abs=1e-13)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-13)])
def test_heat_equals_the_reference(dtype: str, tolerance: float) -> None:
    domain = Domain(shape=(24, 37), spacing=(0.1, 0.15), dtype=dtype)  # type: ignore[arg-type]
    model = make("heat", domain, diffusivity=0.7)
    start = model.initial_state(np.random.default_rng(1))["temperature"]
    (computed,) = advance(model, [start], 100)
    expected = reference.heat(start.astype(float), 100, diffusivity=0.7, dt=model.dt, spacing=domain.spacing)
    assert computed.dtype == dtype
    assert computed == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-12)])
def test_gray_scott_equals_the_reference(dtype: str, tolerance: float) -> None:
    domain = Domain(shape=(50, 41), spacing=(0.01, 0.012), dtype=dtype)  # type: ignore[arg-type]
    model = make("gray-scott", domain, pattern="kappa", dt=0.9, Du=2.1e-5, Dv=0.9e-5)
    start = model.initial_state(np.random.default_rng(1))
    u, v = advance(model, [start["u"], start["v"]], 100)
    F, k = PATTERNS["kappa"]
    expected_u, expected_v = reference.gray_scott(
        start["u"].astype(float),
        start["v"].astype(float),
        100,
        F=F,
        k=k,
        Du=2.1e-5,
        Dv=0.9e-5,
        dt=0.9,
        spacing=domain.spacing,
    )
    assert (u.dtype, v.dtype) == (dtype, dtype)
    assert u == pytest.approx(expected_u, abs=tolerance)
    assert v == pytest.approx(expected_v, abs=tolerance)


@pytest.mark.parametrize("name", ["heat", "gray-scott"])
@pytest.mark.parametrize(("factor", "grows"), [(0.999, False), (1.02, True)])
def test_the_largest_stable_step_is_where_a_checkerboard_begins_to_grow(
    name: str, factor: float, grows: bool
) -> None:
    domain = Domain(shape=(8, 8), spacing=(0.01, 0.01), dtype="float64")
    dt = factor * make(name, domain).largest_stable_dt
    model = make(name, domain, dt=dt)
    disturbance = 1e-6 * (-1.0) ** np.add.outer(np.arange(8), np.arange(8))
    rest = {"temperature": 0.0, "u": 1.0, "v": 0.0}
    fields = [rest[field.name] + disturbance for field in model.fields]
    after = advance(model, fields, 400)
    amplitude = max(np.abs(a - rest[f.name]).max() for a, f in zip(after, model.fields, strict=True))
    assert (amplitude > 1e-6) == grows


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_lives(pattern: str) -> None:
    domain = Domain(shape=(128, 128), spacing=(2.5 / 256, 2.5 / 256))
    model = make("gray-scott", domain, pattern=pattern, dt=1.0)
    start = model.initial_state(np.random.default_rng(1))
    _, v = advance(model, [start["u"], start["v"]], 1500)
    assert 0.05 < v.max() < 1.0
    assert v.std() > 0.01


def test_rates_take_the_place_of_those_of_the_pattern() -> None:
    domain = Domain(shape=(16, 16), spacing=(0.01, 0.01), dtype="float64")
    F, k = PATTERNS["mu"]
    fields = list(make("gray-scott", domain).initial_state(np.random.default_rng(0)).values())
    named = advance(make("gray-scott", domain, pattern="mu", dt=1.0), fields, 5)
    given = advance(make("gray-scott", domain, pattern="alpha", F=F, k=k, dt=1.0), fields, 5)
    assert np.array_equal(named, given)


@pytest.mark.parametrize("name", ["heat", "gray-scott"])
def test_the_initial_state_depends_on_the_seed_alone(name: str) -> None:
    domain = Domain(shape=(40, 70))
    model = make(name, domain)
    first, again, other = (model.initial_state(np.random.default_rng(seed)) for seed in (1, 1, 2))
    for field in model.fields:
        assert first[field.name].shape == (40, 70)
        assert first[field.name].dtype == domain.dtype
        assert np.array_equal(first[field.name], again[field.name])
        assert not np.array_equal(first[field.name], other[field.name])


def test_integrals_have_the_area_in_them() -> None:
    domain = Domain(shape=(10, 20), spacing=(0.5, 0.25))
    half = np.full((12, 22), 0.5, np.float32)
    assert make("heat", domain).integrals([half], (10, 20), [100.0]) == {"heat": 0.5 * 5 * 5}
    assert make("gray-scott", domain).integrals([half, half], (10, 20), [100.0, 100.0]) == {
        "mass": 1.0 * 5 * 5
    }


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownModel, match=r"run\.model = 'grayscott'.*'gray-scott'"):
        find_model("grayscott")
    with pytest.raises(UnknownModel, match=r"known are .*gray-scott.*heat"):
        find_model("navier")
