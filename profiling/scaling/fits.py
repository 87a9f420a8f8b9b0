"""The laws of scaling, and the figures that fit a measurement: arithmetic alone."""

from collections.abc import Callable, Sequence

import numpy as np

from lockstream.mpi_jobs.decomposition import Array

RESAMPLES = 1000
LEAST_ROUNDS = 6  # the lowest and the highest of fewer hold the median less often than 95 times in 100


def amdahl(fraction: float | Array, ranks: float | Array) -> Array:
    """Return the speed-up on `ranks` ranks if `fraction` of the work is serial (Amdahl, AFIPS 1967)."""
    return np.asarray(1 / (fraction + (1 - fraction) / np.asarray(ranks, float)))


def gustafson(fraction: float | Array, ranks: float | Array) -> Array:
    """Return the scaled speed-up: work that grows with the ranks, `fraction` of the time serial (CACM 31, 1988)."""
    p = np.asarray(ranks, float)
    return np.asarray(fraction + (1 - fraction) * p)


def karp_flatt(speedup: float, ranks: int) -> float:
    """Return the serial fraction that one measured speed-up alone amounts to (Karp and Flatt, CACM 33, 1990).

    If it grows with the ranks, it is not serial work that costs, but something that grows with them: communication.
    """
    return (1 / speedup - 1 / ranks) / (1 - 1 / ranks)


def fit_amdahl(ranks: Sequence[int], speedups: Sequence[float]) -> float:
    """Return the serial fraction whose speed-ups are nearest to the measured ones, by least squares, from 0 to 1."""
    measured = np.asarray(speedups, float)
    low, high = 0.0, 1.0
    for _ in range(5):  # to 1e-8
        tried = np.linspace(low, high, 101)
        errors = ((amdahl(tried[:, None], np.asarray(ranks, float)) - measured) ** 2).sum(axis=1)
        best, width = float(tried[errors.argmin()]), (high - low) / 50
        low, high = max(best - width, 0.0), min(best + width, 1.0)
    return best


def fit_gustafson(ranks: Sequence[int], speedups: Sequence[float]) -> float:
    """Return the serial fraction of Gustafson's line that is nearest to the scaled speed-ups, by least squares."""
    p, measured = np.asarray(ranks, float), np.asarray(speedups, float)
    return float(((p - measured) * (p - 1)).sum() / ((p - 1) ** 2).sum())


def fit_constant_and_shared(ranks: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Return s and w of t(p) = s + w / p, by least squares; s is what more ranks do not make shorter.

    Linear in the times: those of several phases add up, and so do their s. One may be negative: the phase shrinks
    faster than the ranks grow, e.g. since its data then fit in a cache.
    """
    return _line(1 / np.asarray(ranks, float), seconds)


def fit_growth(ranks: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Return a and b of t(p) = a + b (p - 1), by least squares: at constant work per rank, b should be 0."""
    return _line(np.asarray(ranks, float) - 1, seconds)


def interval(samples: Array, statistic: Callable[[Array], float]) -> tuple[float, float] | None:
    """Return the 95 % interval of a statistic by resampling whole rounds (Efron, 1979).

    Parameters
    ----------
    samples
        Shape (rounds, anything): what was measured in each round.
    statistic
        Of such an array.

    Returns
    -------
    (low, high), or None
        None if there are too few rounds.
    """
    rounds = len(samples)
    if rounds < LEAST_ROUNDS:
        return None
    random = np.random.default_rng(0)  # the same samples, the same report
    drawn = [statistic(samples[random.integers(rounds, size=rounds)]) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def _line(x: Array, y: Sequence[float]) -> tuple[float, float]:
    (constant, slope), *_ = np.linalg.lstsq(np.stack([np.ones_like(x), x], axis=1), np.asarray(y, float))
    return float(constant), float(slope)
