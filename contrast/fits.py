"""Hockney's model of an exchange, alpha + beta n, fitted to what was measured and tried on what was held out."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lockstream.contrast.results import Fit, FitPoint, Measurement

FAILED_FACTOR = 2.0  # a line that misses by more is given up for two
FEWEST_SIZES = 3

_group = attrgetter("pattern", "style", "participants")
_Floats = npt.NDArray[np.float64]


class _Line(NamedTuple):
    alpha: float
    beta: float

    def at(self, nbytes: int) -> float:
        return self.alpha + self.beta * nbytes


def hockney(measurements: Sequence[Measurement]) -> tuple[Fit, ...]:
    """Fit the median latencies of each pattern, style and number of participants.

    Every other size is held out of the fit and predicted, never the smallest or the largest. Times span five orders
    of magnitude, so relative errors are made small; neither parameter can be negative. What was measured at less
    than three sizes is left out.

    Reference: R. W. Hockney, The communication challenge for MPP: Intel Paragon and Meiko CS-2, Parallel Computing
    20 (1994).
    """
    usual = sorted(
        (one for one in measurements if not one.dimension), key=lambda one: (*_group(one), one.nbytes)
    )
    return tuple(fit for _, group in groupby(usual, _group) for fit in _fits(list(group)))


def _fits(group: Sequence[Measurement]) -> Iterator[Fit]:
    """Yield one fit, or two that meet at a size, if one alone would be wrong."""
    if len(group) < FEWEST_SIZES:
        return
    held_out = tuple(one.nbytes for one in group[1:-1:2])
    fitted = [at for at, one in enumerate(group) if one.nbytes not in held_out]
    whole = _fit(group, held_out)
    pairs = [
        (_fit(group[: at + 1], held_out), _fit(group[at:], held_out))
        for at in fitted[FEWEST_SIZES - 1 : len(fitted) - FEWEST_SIZES + 1]  # each line has points to spare
    ]
    if whole.worst_factor <= FAILED_FACTOR or not pairs:
        yield whole
    else:
        yield from min(pairs, key=lambda pair: sum(_misfit(fit) for fit in pair))


def _fit(group: Sequence[Measurement], held_out: tuple[int, ...]) -> Fit:
    held_out = tuple(one.nbytes for one in group if one.nbytes in held_out)
    line = _line([one for one in group if one.nbytes not in held_out])
    points = tuple(
        FitPoint(nbytes=one.nbytes, measured=one.latency.median, predicted=line.at(one.nbytes))
        for one in group
    )
    factors = [_factor(point) for point in points if point.nbytes in held_out]
    return Fit(
        pattern=group[0].pattern,
        style=group[0].style,
        participants=group[0].participants,
        alpha=line.alpha,
        beta=line.beta,
        points=points,
        held_out=held_out,
        worst_factor=max(factors),
        smallest=group[0].nbytes,
        largest=group[-1].nbytes,
    )


def _line(fitted: Sequence[Measurement]) -> _Line:
    """Return the line of the least relative squares among those with alpha and beta >= 0.

    If the best line of all has a negative parameter, the best permitted one has a zero: the sum of squares is convex.
    """
    times = np.array([one.latency.median for one in fitted])
    sizes = np.array([float(one.nbytes) for one in fitted])
    ones, ramp = 1 / times, sizes / times
    scale = np.array([np.linalg.norm(ones), np.linalg.norm(ramp)])
    alpha, beta = np.linalg.lstsq(np.column_stack([ones, ramp]) / scale, np.ones_like(times))[0] / scale
    if alpha >= 0 and beta >= 0:
        return _Line(float(alpha), float(beta))
    edges = _Line(float(ones.sum() / (ones @ ones)), 0.0), _Line(0.0, float(ramp.sum() / (ramp @ ramp)))
    return min(edges, key=lambda line: _squares(line, ones, ramp))


def _squares(line: _Line, ones: _Floats, ramp: _Floats) -> float:
    return float(np.sum((line.alpha * ones + line.beta * ramp - 1) ** 2))


def _factor(point: FitPoint) -> float:
    return max(point.measured / point.predicted, point.predicted / point.measured)


def _misfit(fit: Fit) -> float:
    """How badly a fit does on what it was made of; what is held out has no say."""
    return sum(float(np.log(_factor(point))) ** 2 for point in fit.points if point.nbytes not in fit.held_out)
