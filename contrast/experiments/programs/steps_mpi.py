"""Ranks that work on a step each at its own pace, and then add up what they have: the skeleton of a simulation.

Asked: steps, work (s of a step, for each rank), journals (a folder, one file per rank), victim and
dies_at (the rank that kills itself, and in which step; -1: nobody). Answers for each rank the
medians: steps (s of a step), waits (s of it in the collective).
"""

import os
import signal
import time
from pathlib import Path

import numpy as np

from lockstream.contrast.experiments.journal import note
from lockstream.contrast.rig import asked, reply, unname_shared_memory, world


def main() -> None:
    """Work on all steps."""
    task = asked()
    with world() as comm:
        from mpi4py import MPI

        spent = np.zeros((task["steps"], 2))
        share = np.ones(1)
        with (Path(task["journals"]) / f"{comm.rank}").open("w", encoding="ascii") as journal:
            comm.Barrier()
            for step in range(task["steps"]):
                began = time.monotonic()
                time.sleep(task["work"][comm.rank])
                if (comm.rank, step) == (task["victim"], task["dies_at"]):
                    unname_shared_memory()
                    os.kill(os.getpid(), signal.SIGKILL)
                arrived = time.monotonic()
                comm.Allreduce(MPI.IN_PLACE, share, op=MPI.MAX)
                left = time.monotonic()
                spent[step] = left - began, left - arrived
                note(journal, step)
        everyone = np.zeros((comm.size, 2))
        comm.Gather(np.median(spent, axis=0), everyone, root=0)
        if comm.rank == 0:
            reply({"steps": everyone[:, 0].tolist(), "waits": everyone[:, 1].tolist()})


if __name__ == "__main__":
    main()
