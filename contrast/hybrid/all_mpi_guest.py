"""An analysis that comes to a job of MPI in mid-run; a program that the job itself starts."""

import sys
from pathlib import Path

import msgspec

from lockstream.contrast.hybrid.analysis import Analyst
from lockstream.contrast.hybrid.frames_mpi import receive_frames
from lockstream.contrast.hybrid.task import Task
from lockstream.mpi_jobs.launch import mpi_world


def main() -> None:
    """Analyse what comes from the ranks that have started this program."""
    task = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Task)
    with mpi_world() as world:
        job = type(world).Get_parent()
        with Analyst(task.plan, task.results_path) as analyst:
            receive_frames(job, task.plan, analyst)
        job.Disconnect()


if __name__ == "__main__":
    main()
