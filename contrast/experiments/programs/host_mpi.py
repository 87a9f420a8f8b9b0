"""Ranks that broadcast to each other, and let another job join them on the way.

Asked: messages, joining (number before which they wait for the guest), port (a file that gets the name of the place to
meet). Answers: world (ranks that this job was started with), standstill (s that they waited for the guest).
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lockstream.contrast.rig import asked, reply
from lockstream.mpi_jobs.launch import mpi_world

if TYPE_CHECKING:
    from mpi4py import MPI


def main() -> None:
    """Broadcast to whoever is there."""
    task = asked()
    with mpi_world() as comm:
        number = np.zeros(1, dtype=np.int64)
        for number[0] in range(task["joining"]):
            comm.Bcast(number, root=0)
        began = time.monotonic()
        between = _accept(comm, Path(task["port"]))
        standstill = time.monotonic() - began
        everybody = between.Merge(high=False)
        for number[0] in range(task["joining"], task["messages"]):
            everybody.Bcast(number, root=0)
        everybody.Disconnect()
        between.Disconnect()
        if comm.rank == 0:
            reply({"world": comm.size, "standstill": standstill})


def _accept(comm: "MPI.Intracomm", port: Path) -> "MPI.Intercomm":
    """Wait for a guest; it finds the place by a file, since neither job knows the other."""
    from mpi4py import MPI

    if comm.rank != 0:
        return comm.Accept("")
    place = MPI.Open_port()
    unfinished = port.with_suffix(".part")
    unfinished.write_text(place, encoding="utf-8")
    unfinished.rename(port)
    guest = comm.Accept(place)
    MPI.Close_port(place)
    return guest


if __name__ == "__main__":
    main()
