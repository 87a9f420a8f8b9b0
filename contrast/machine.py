"""What the figures are taken on."""

import os
import platform
from pathlib import Path

from lockstream.contrast.results import Machine


def describe(kafka: str) -> Machine:
    """Describe this machine and what runs on it.

    Parameters
    ----------
    kafka
        Version of the broker.
    """
    import confluent_kafka
    import mpi4py

    mpi4py.rc.initialize = False  # asking for the version needs no MPI world
    from mpi4py import MPI

    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        system=platform.platform(),
        python=platform.python_version(),
        mpi=_first_line(MPI.Get_library_version()),
        kafka=kafka,
        client=confluent_kafka.libversion()[0],
        load=os.getloadavg()[0],
    )


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _first_line(text: str) -> str:
    """Shorten what an MPI library says of itself, e.g. "MPICH Version: 5.0.2" to "MPICH 5.0.2"."""
    words = text.replace("Version:", "").strip().splitlines()[0].partition(",")[0].split()
    return " ".join(words)
