"""From samples to figures that can be believed."""

import math
from collections.abc import Sequence

import numpy as np

from lockstream.contrast.results import Latency

_Z = 1.959964  # of the normal distribution, for 95 %


def latency(samples: Sequence[float]) -> Latency:
    """Summarise times, in seconds.

    The confidence interval is that of the order statistics, which assumes no distribution: ranks
    n/2 -/+ 1.96 sqrt(n)/2, see Hoefler and Belli, Scientific Benchmarking of Parallel Computing Systems, SC 15.
    With fewer than six samples it is their range, which then covers less than 95 %.

    Raises
    ------
    ValueError
        There are no samples.
    """
    if not len(samples):
        raise ValueError("no samples")
    ordered = np.sort(np.asarray(samples, dtype=float))
    n = len(ordered)
    half = _Z * math.sqrt(n) / 2
    low = max(math.floor(n / 2 - half) - 1, 0)
    high = min(math.ceil(n / 2 + half), n - 1)
    return Latency(
        samples=n,
        median=float(np.median(ordered)),
        low=float(ordered[low]),
        high=float(ordered[high]),
        p99=float(np.quantile(ordered, 0.99, method="higher")),
    )
