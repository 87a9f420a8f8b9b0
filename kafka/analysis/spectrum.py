"""Radially averaged power spectrum of a periodic field, and its pattern scale: pure functions of arrays.

With the discrete Fourier coefficients ``c(k) = (1/N) Σ_r u(r) exp(-i k·r)`` of the field less its mean, the
wavevectors ``k`` are sorted into shells of equal width by their length. The radially averaged power of a
shell is

    S_i = ⟨|c(k)|²⟩,  the mean over the n_i modes of shell i,

so that Parseval's theorem reads ``Σ_i n_i S_i = var(u)``. The pattern scale is the inverse first moment of S,

    L = 2π Σ_i ⟨|c|²⟩_i / Σ_i ⟨|k| |c|²⟩_i  =  2π / ⟨k⟩,

the discrete form of ``2π ∫S dk / ∫k S dk`` by which the size of domains is measured in coarsening patterns:
V. M. Kendon, M. E. Cates, I. Pagonabarraga, J.-C. Desplat, P. Bladon, J. Fluid Mech. 440 (2001) 147. Taking
``|k|`` inside the average makes it exact for a single wave, wherever in its shell that lies.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

MAX_SHELLS = 16384
REMEMBERED = 8  # shells that are kept, of fields that differ in shape or spacing

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Shells:
    """Which Fourier mode belongs to which shell; the same for every step of a field.

    Parameters
    ----------
    wavenumbers
        Mean length of the wavevectors of each shell, ascending, (shells,), radians per unit of the axes.
    modes
        How many of the full transform's modes each shell has, at least 1, (shells,); k = 0 is in none.
    member
        Shell of each mode of the real transform, flat, int32.
    weight
        For how many modes of the full transform it stands: 2 with its conjugate, 1 alone, 0 for k = 0; uint8.
    length
        ``|k|`` of each, flat, float64.
    """

    wavenumbers: Floats
    modes: Integers
    member: np.ndarray[Any, np.dtype[np.int32]]
    weight: np.ndarray[Any, np.dtype[np.uint8]]
    length: Floats


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What the spectrum of one field is.

    Parameters
    ----------
    power
        Radially averaged power of each shell, (shells,), in the field's units squared.
    pattern_scale
        In units of the axes; NaN for a uniform field, which has no pattern.
    """

    power: Floats
    pattern_scale: float


@lru_cache(maxsize=REMEMBERED)
def radial_shells(shape: tuple[int, ...], spacing: tuple[float, ...]) -> Shells:
    """Sort the modes of a field into shells as wide as the coarsest fundamental wavenumber.

    Parameters
    ----------
    shape
        Of the field, e.g. ``(512, 768)``; 1 or more dimensions, even or odd.
    spacing
        Distance of two neighbours along each axis, not 0.

    Raises
    ------
    ValueError
        If a spacing is so large or small that the squares of the wavenumbers are no numbers any more.
    """
    length = _lengths(shape, spacing)
    width = max((2 * np.pi / (n * abs(h)) for n, h in zip(shape, spacing, strict=True) if n > 1), default=1.0)
    width = max(width, float(length.max()) / (MAX_SHELLS - 1))
    nearest = np.rint(length / width).astype(np.int32)
    weight = _weights(shape)
    counts = np.bincount(nearest, weights=weight)
    occupied = counts > 0
    renumbered = np.maximum(np.cumsum(occupied, dtype=np.int32) - 1, 0)
    member = renumbered[nearest]  # k = 0 lands anywhere: it weighs nothing
    modes = counts[occupied]
    total = np.bincount(member, weights=weight * length, minlength=len(modes))[: len(modes)]
    return Shells(total / modes, modes.astype(np.int64), member, weight, length)


def radial_spectrum(field: np.ndarray[Any, Any], shells: Shells) -> Spectrum | None:
    """Compute the radially averaged power spectrum of a periodic field.

    Parameters
    ----------
    field
        Real or complex, of the shape that `shells` was made for.

    Returns
    -------
    Spectrum or None
        None if the field, or its power, is not finite everywhere.
    """
    parts = (field.real, field.imag) if np.iscomplexobj(field) else (field,)
    with np.errstate(over="ignore", invalid="ignore"):
        # Shells hold k and -k alike, so the mixed terms of a complex field's two parts cancel.
        energy: Floats = shells.weight * np.sum([_energy(part) for part in parts], axis=0)
        power, moment = (_average(values, shells) for values in (energy, energy * shells.length))
        total, first = float(power.sum()), float(moment.sum())
    if not (np.isfinite(power).all() and math.isfinite(first)):
        return None
    return Spectrum(power, 2 * math.pi * total / first if first > 0 else math.nan)


def _lengths(shape: Sequence[int], spacing: Sequence[float]) -> Floats:
    """``|k|`` of each mode of the real transform, flat; that of k = 0 is the first."""
    squares = np.zeros(())
    with np.errstate(all="ignore"):
        for axis, (n, h) in enumerate(zip(shape, spacing, strict=True)):
            frequencies = np.fft.rfftfreq if axis == len(shape) - 1 else np.fft.fftfreq
            squares = squares[..., np.newaxis] + (2 * np.pi * frequencies(n, abs(h))) ** 2
    length = np.sqrt(squares).ravel()
    if not (np.isfinite(length).all() and (length[1:] > 0).all()):
        raise ValueError(f"spacings {tuple(spacing)} are too large or too small for a spectrum")
    return length


def _weights(shape: Sequence[int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    weight = np.full((*shape[:-1], shape[-1] // 2 + 1), 2, np.uint8)
    weight[..., 0] = 1  # its own conjugate
    if shape[-1] % 2 == 0:
        weight[..., -1] = 1  # Nyquist
    weight.flat[0] = 0
    return weight.ravel()


def _energy(part: np.ndarray[Any, Any]) -> Floats:
    values = part.astype(np.float64)
    values -= values.flat[0]  # a uniform field becomes exactly zero, whatever its mean rounds to
    values -= values.mean()
    modes = np.fft.rfftn(values, norm="forward")
    return np.asarray(modes.real**2 + modes.imag**2).ravel()


def _average(values: Floats, shells: Shells) -> Floats:
    """Mean over the modes of each shell; `values` are weighted already."""
    sums = np.bincount(shells.member, weights=values, minlength=len(shells.modes))
    return np.asarray(sums[: len(shells.modes)] / shells.modes, np.float64)
