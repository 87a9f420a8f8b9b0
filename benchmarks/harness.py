"""Contestants raced against each other in one run: interleaved rounds, medians, ratios.

Absolute times belong to the machine they were taken on; what is claimed anywhere is a ratio.
"""

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from lockstream.mpi_jobs.hardware import processor_name, usable_cores

Contestant = Callable[[], float]


def interleaved(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """Run each contestant once per round, in turn; each returns its own seconds.

    The first round is a warm-up and does not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, contestant in contestants.items():
            taken = contestant()
            if turn:
                seconds[name].append(taken)
    return seconds


def summary(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Median, minimum and maximum of each contestant."""
    return {
        name: {"median": statistics.median(values), "min": min(values), "max": max(values)}
        for name, values in seconds.items()
    }


def median_ratio(seconds: Mapping[str, list[float]], over: str, under: str) -> float:
    """Median over the rounds of ``over / under``: what both share of the machine's mood cancels."""
    return statistics.median(a / b for a, b in zip(seconds[over], seconds[under], strict=True))


def cpu_seconds() -> float:
    """CPU time of this process so far, all its threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "processor": processor_name(),
        "cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg(),  # others who were at work meanwhile
        "date": time.strftime("%Y-%m-%d"),
    }
