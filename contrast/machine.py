"""What the figures are taken on."""

import os
import platform

from lockstream.contrast.results import Machine
from lockstream.mpi_jobs.hardware import processor_name, usable_cores


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
        processor=processor_name(),
        cores=usable_cores(),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        system=platform.platform(),
        python=platform.python_version(),
        mpi=_first_line(MPI.Get_library_version()),
        kafka=kafka,
        client=confluent_kafka.libversion()[0],
        load=os.getloadavg()[0],
    )


def _first_line(text: str) -> str:
    """Shorten what an MPI library says of itself, e.g. "MPICH Version: 5.0.2" to "MPICH 5.0.2"."""
    words = text.replace("Version:", "").strip().splitlines()[0].partition(",")[0].split()
    return " ".join(words)
