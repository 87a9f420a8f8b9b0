"""The spectrum against what is known of it: single waves, Parseval's theorem, and a sum over the full transform."""

import math

import numpy as np
import pytest

from lockstream.kafka.analysis.spectrum import MAX_SHELLS, radial_shells, radial_spectrum

SHAPES = [
    ((8,), (1.0,)),
    ((9,), (0.25,)),
    ((6, 5), (1.0, 1.0)),
    ((16, 24), (0.5, 0.5)),
    ((7, 32), (3.0, 0.1)),
    ((64, 2), (-0.5, 20.0)),
    ((1, 12), (1.0, 2.0)),
    ((12, 1), (1.0, 2.0)),
    ((4, 6, 5), (1.0, 2.0, 0.5)),
    ((3, 2, 5, 4), (1.0, 1.0, 1.0, 1.0)),
]


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape) + 100.0


@pytest.mark.parametrize(("shape", "spacing"), SHAPES)
def test_power_times_modes_sums_up_to_the_variance(shape, spacing):
    shells, field = radial_shells(shape, spacing), noise(shape)
    spectrum = radial_spectrum(field, shells)
    assert (shells.modes * spectrum.power).sum() == pytest.approx(field.var(), rel=1e-12)
    assert shells.modes.sum() == field.size - 1
    assert (np.diff(shells.wavenumbers) > 0).all()
    assert shells.wavenumbers[0] > 0


@pytest.mark.parametrize(("shape", "spacing"), SHAPES)
def test_the_real_transform_stands_for_the_full_one(shape, spacing):
    field = noise(shape)
    wavevectors = [2 * np.pi * np.fft.fftfreq(n, abs(h)) for n, h in zip(shape, spacing, strict=True)]
    length = np.sqrt(sum(k**2 for k in np.meshgrid(*wavevectors, indexing="ij"))).ravel()
    energy = np.abs(np.fft.fftn(field).ravel() / field.size) ** 2
    width = max(2 * np.pi / (n * abs(h)) for n, h in zip(shape, spacing, strict=True) if n > 1)
    shell_of = np.rint(length / width)
    shell_of[0] = -1
    members = [shell_of == shell for shell in np.unique(shell_of[1:])]
    power = np.array([energy[m].mean() for m in members])
    moment = np.array([(energy * length)[m].mean() for m in members])

    shells = radial_shells(shape, spacing)
    spectrum = radial_spectrum(field, shells)
    np.testing.assert_allclose(spectrum.power, power, rtol=1e-9)
    np.testing.assert_allclose(shells.wavenumbers, [length[m].mean() for m in members], rtol=1e-12)
    assert list(shells.modes) == [m.sum() for m in members]
    assert spectrum.pattern_scale == pytest.approx(2 * np.pi * power.sum() / moment.sum(), rel=1e-9)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("cycles_y", "cycles_x"), [(3, 4), (0, 5), (2, 0), (-3, 7)])
def test_a_single_wave_has_its_wavelength_and_all_power_in_one_shell(cycles_y, cycles_x, dtype):
    ny, nx, hy, hx, amplitude = 48, 60, 0.25, 0.1, 3.0  # a domain of 12 by 6, so unequal in every respect
    y, x = np.mgrid[:ny, :nx]
    field = 5.0 + amplitude * np.cos(2 * np.pi * (cycles_y * y / ny + cycles_x * x / nx) + 0.3)
    k = 2 * np.pi * math.hypot(cycles_y / (ny * hy), cycles_x / (nx * hx))

    shells = radial_shells((ny, nx), (hy, hx))
    spectrum = radial_spectrum(field.astype(dtype), shells)
    energy = shells.modes * spectrum.power
    peak = int(energy.argmax())
    assert spectrum.pattern_scale == pytest.approx(2 * np.pi / k, rel=1e-5 if dtype == "f4" else 1e-9)
    assert energy[peak] == pytest.approx(amplitude**2 / 2, rel=1e-6)
    assert energy.sum() - energy[peak] < 1e-10
    assert abs(shells.wavenumbers[peak] - k) <= np.pi / 6  # half a shell: the domain's short side is 6


def test_a_complex_field_counts_both_its_parts():
    field = noise((10, 7)) * np.exp(1j * noise((10, 7)))
    shells = radial_shells((10, 7), (1.0, 2.0))
    spectrum = radial_spectrum(field.astype("c16"), shells)
    assert (shells.modes * spectrum.power).sum() == pytest.approx(field.var(), rel=1e-12)


def test_integers_are_fields_too():
    field = np.array([0, 255, 0, 255, 0, 255], "u1")
    spectrum = radial_spectrum(field, radial_shells((6,), (1.0,)))
    assert spectrum.pattern_scale == pytest.approx(2.0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e30])
@pytest.mark.parametrize("shape", [(37, 53), (1, 1)])
def test_a_uniform_field_has_neither_power_nor_pattern(shape, value):
    spectrum = radial_spectrum(np.full(shape, value), radial_shells(shape, (1.0, 1.0)))
    assert not spectrum.power.any()
    assert math.isnan(spectrum.pattern_scale)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_what_is_not_finite_has_no_spectrum(value):
    field = noise((8, 8))
    field[3, 3] = value
    assert radial_spectrum(field, radial_shells((8, 8), (1.0, 1.0))) is None


def test_the_number_of_shells_is_bounded():
    shells = radial_shells((100_003,), (1.0,))
    assert MAX_SHELLS / 2 < len(shells.modes) <= MAX_SHELLS
    assert shells.modes.sum() == 100_002


@pytest.mark.parametrize("spacing", [5e-324, 1e-200, 1e200, 1e308])
def test_spacings_beyond_all_numbers_are_refused(spacing):
    with pytest.raises(ValueError, match="too large or too small"):
        radial_shells((8, 8), (1.0, spacing))
