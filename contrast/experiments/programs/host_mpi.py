"""Ranks that broadcast to each other, and let another job join them on the way.

Asked: messages, joining (number before which they let the guest in), port (a file that gets the name of the place to
meet), guest (a file that is there when the guest is). Answers: world (ranks that this job was started with), standstill
(s that it took to let it in).
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lockstream.contrast.rig import asked, reply, world

if TYPE_CHECKING:
    from mpi4py import MPI


LOOK_SECONDS = 0.001


def main() -> None:
    """Broadcast to whoever is there."""
    task = asked()
    with world(has_company=True) as comm:
        from mpi4py import MPI

        number = np.zeros(1, dtype=np.int64)
        for number[0] in range(task["joining"]):
            comm.Bcast(number, root=0)
        place = _invite(comm, Path(task["port"]))
        while not comm.bcast(comm.rank == 0 and Path(task["guest"]).exists()):
            time.sleep(LOOK_SECONDS)  # a job that has something to do would go on with it here
        began = time.monotonic()
        between = comm.Accept(place)
        standstill = time.monotonic() - began
        everybody = between.Merge(high=False)
        for number[0] in range(task["joining"], task["messages"]):
            everybody.Bcast(number, root=0)
        everybody.Disconnect()
        between.Disconnect()
        if comm.rank == 0:
            MPI.Close_port(place)
            reply({"world": comm.size, "standstill": standstill})


def _invite(comm: "MPI.Intracomm", port: Path) -> str:
    """Open a place to meet; the guest finds it by a file, since neither job knows the other."""
    from mpi4py import MPI

    if comm.rank != 0:
        return ""
    place = MPI.Open_port()
    unfinished = port.with_suffix(".part")
    unfinished.write_text(place, encoding="utf-8")
    unfinished.rename(port)
    return place


if __name__ == "__main__":
    main()
