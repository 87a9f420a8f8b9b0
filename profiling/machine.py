"""Where figures are taken."""

import os
import platform

from lockstream.mpi_jobs.hardware import processor_name, usable_cores
from lockstream.profiling.results import Machine


def this_machine() -> Machine:
    """Describe this machine as it is now."""
    return Machine(
        processor=processor_name(),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load=os.getloadavg()[0],
    )
