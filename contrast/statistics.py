"""From samples to figures that can be believed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lockstream.contrast.results import Latency, Throughput

GIGABYTE = 1e9
_Z = 1.959964  # of the normal distribution, for 95 %


class Stream(NamedTuple):
    """Exchanges that did not wait for each other: how many, what they brought, how long they took, what they cost."""

    exchanges: int
    nbytes: int
    seconds: float
    cpu_seconds: float


def latency(turns: Sequence[Sequence[float]]) -> Latency:
    """Summarise times, in seconds, that were taken in turns.

    Samples of one turn are more alike than those of different ones, so that each turn counts as its median. The
    confidence interval is that of the order statistics, which assumes no distribution: ranks n/2 -/+ 1.96 sqrt(n)/2,
    see Hoefler and Belli, Scientific Benchmarking of Parallel Computing Systems, SC 15. With fewer than six turns it is
    their range, which then covers less than 95 %.

    Raises
    ------
    ValueError
        There are no samples.
    """
    samples = [sample for turn in turns for sample in turn]
    if not samples:
        raise ValueError("no samples")
    medians = [float(np.median(turn)) for turn in turns]
    low, high = _interval(medians)
    return Latency(
        samples=len(samples),
        turns=len(turns),
        median=float(np.median(medians)),
        low=low,
        high=high,
        p99=float(np.quantile(samples, 0.99, method="higher")),
    )


def throughput(streams: Sequence[Stream]) -> Throughput:
    """Summarise streams; the interval as that of `latency`."""
    rates = [stream.nbytes / stream.seconds for stream in streams]
    low, high = _interval(rates)
    cost = sum(stream.cpu_seconds for stream in streams) / sum(stream.nbytes for stream in streams)
    return Throughput(
        samples=len(rates),
        median=float(np.median(rates)),
        low=low,
        high=high,
        cpu_seconds_per_gigabyte=cost * GIGABYTE,
    )


def _interval(samples: Sequence[float]) -> tuple[float, float]:
    ordered = np.sort(np.asarray(samples, dtype=float))
    n = len(ordered)
    half = _Z * math.sqrt(n) / 2
    low = max(math.floor(n / 2 - half) - 1, 0)
    high = min(math.ceil(n / 2 + half), n - 1)
    return float(ordered[low]), float(ordered[high])
