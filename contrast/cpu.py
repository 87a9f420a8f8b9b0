"""Processor time of this process and of others, and where this one may run."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager


def own_cpu_seconds() -> float:
    """Return the processor time that this process has used, all its threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_seconds(pid: int) -> float:
    """Return the same of another process of this machine, to the nanosecond.

    Linux has a clock for each process, numbered as clock_getcpuclockid(3) does it; /proc/PID/stat counts in
    hundredths of a second.

    Raises
    ------
    OSError
        There is no such process.
    """
    return time.clock_gettime((~pid << 3) | 2)


@contextmanager
def on_any_core(cores: set[int]) -> Iterator[None]:
    """Have threads that are started meanwhile run where they like, though this one is pinned."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
