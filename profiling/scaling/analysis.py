"""From runs on several numbers of ranks to a serial fraction, and to the phase that it comes from."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lockstream.mpi_jobs.decomposition import Array
from lockstream.profiling.phases.run import OTHER, USUAL
from lockstream.profiling.scaling.fits import (
    fit_amdahl,
    fit_constant_and_shared,
    fit_growth,
    fit_gustafson,
    interval,
    karp_flatt,
)
from lockstream.profiling.scaling.results import Part, Point, Sample

Fit = Callable[[Sequence[int], Sequence[float]], float]
NEGLIGIBLE = 0.005  # of the time on one rank: a phase that contributes less is no culprit


class Analysis(NamedTuple):
    """What the samples mean; see `Scaling`."""

    fraction: float
    low: float | None
    high: float | None
    culprit: str
    points: tuple[Point, ...]
    parts: tuple[Part, ...]


def analyse(samples: Sequence[Sample], cores: int, *, is_weak: bool) -> Analysis:
    """Fit the law that is meant for such a measurement.

    Parameters
    ----------
    samples
        Every number of ranks in every round, 1 among them.
    cores
        Points with more ranks than that are left out of the fit if two others are left: they share cores, which is
        no property of the program.
    is_weak
        Whether the domain grew with the ranks.
    """
    ranks = sorted({sample.ranks for sample in samples})
    rounds = sorted({sample.round for sample in samples})
    fitted = [p for p in ranks if p <= cores]
    if len(fitted) < 2:
        fitted = ranks
    at = {(sample.round, sample.ranks): sample for sample in samples}
    seconds = np.array([[at[r, p].seconds for p in ranks] for r in rounds])
    speedups = seconds[:, :1] / seconds * (np.array(ranks) if is_weak else 1)
    chosen = [ranks.index(p) for p in fitted]
    fit: Fit = fit_gustafson if is_weak else fit_amdahl
    # Points on one rank fit every law.
    fraction = fit(fitted, np.median(speedups[:, chosen], axis=0).tolist())
    spread = interval(speedups[:, chosen], lambda some: fit(fitted, np.median(some, axis=0).tolist()))
    low, high = spread or (None, None)
    parts = _parts(at, rounds, ranks, chosen, is_weak=is_weak)
    worst = max(parts, key=lambda part: part.constant)
    is_serious = worst.constant > NEGLIGIBLE * float(seconds[:, 0].mean())
    return Analysis(
        fraction=fraction,
        low=low,
        high=high,
        culprit=worst.name if is_serious else "",
        points=tuple(
            Point(
                ranks=p,
                seconds=float(seconds[:, n].mean()),  # as of the phases, which add up to it
                speedup=float(np.median(speedups[:, n])),
                low=float(speedups[:, n].min()),
                high=float(speedups[:, n].max()),
                serial_fraction=_alone(float(np.median(speedups[:, n])), p, is_weak=is_weak),
                is_fitted=p in fitted,
            )
            for n, p in enumerate(ranks)
        ),
        parts=parts,
    )


def _alone(speedup: float, ranks: int, *, is_weak: bool) -> float | None:
    if ranks == 1:
        return None
    return fit_gustafson([ranks], [speedup]) if is_weak else karp_flatt(speedup, ranks)


def _parts(
    at: dict[tuple[int, int], Sample],
    rounds: list[int],
    ranks: list[int],
    chosen: list[int],
    *,
    is_weak: bool,
) -> tuple[Part, ...]:
    found = {name for sample in at.values() for name, spent in sample.path.items() if spent}
    names = [name for name in USUAL if name in found]
    names += sorted(found - {*USUAL, OTHER})
    names += [OTHER] if OTHER in found else []
    fitted = [ranks[n] for n in chosen]

    def fit(times: Array) -> tuple[float, float]:
        mean = times[:, chosen].mean(axis=0).tolist()
        if is_weak:
            variable, constant = fit_growth(fitted, mean)
            return constant, variable
        return fit_constant_and_shared(fitted, mean)

    parts = []
    for name in names:
        times = np.array([[at[r, p].path.get(name, 0.0) for p in ranks] for r in rounds])
        constant, variable = fit(times)
        low, high = interval(times, lambda some: fit(some)[0]) or (None, None)
        seconds = tuple(times.mean(axis=0).tolist())
        parts.append(
            Part(name=name, seconds=seconds, constant=constant, low=low, high=high, variable=variable)
        )
    return tuple(parts)
