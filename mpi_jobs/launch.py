"""Entering the MPI world, and leaving it together whatever happens."""

from __future__ import annotations

import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from lockstream.bridge.errors import LockstreamError, UserError
from lockstream.mpi_jobs.errors import WrongWorld

if TYPE_CHECKING:
    from mpi4py import MPI

# What launchers say about the number of ranks and about this one, the most specific first. In a Slurm job
# whose script calls mpirun, the latter is the one to ask.
LAUNCHERS = (
    ("PMI_SIZE", "PMI_RANK"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ("SLURM_NTASKS", "SLURM_PROCID"),
)
ROOT_PATIENCE = 5.0  # seconds
OTHERS_PATIENCE = 300.0  # rank 0 may be waiting for Kafka's last acknowledgements


@contextmanager
def mpi_world(thread_level: Literal["funneled", "multiple"] = "funneled") -> Iterator[MPI.Intracomm]:
    """Initialise MPI and lend its world; no rank outlives another one's failure.

    MPI is called from the main thread only, and need know of no other one. With ``"multiple"`` MPICH does more at
    each call, and can yield the core while it waits.

    A `LockstreamError` that all ranks raise ends them in good order: it goes on on rank 0, which is the one
    that talks to the user, and the others exit silently with its exit code. Any other error, or one that
    some ranks do not have, aborts all of them.

    Raises
    ------
    WrongWorld
        If several tasks were started, but each finds itself alone.
    """
    import mpi4py

    mpi4py.rc.thread_level = thread_level
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    tasks, task = launched_tasks(os.environ)
    if tasks > 1 and comm.size == 1:
        if task != 0:
            sys.exit(WrongWorld.exit_code)
        raise WrongWorld(tasks)
    farewell = comm.Dup()  # so that saying goodbye never meets a collective call that others still are in
    try:
        yield comm
        farewell.Free()
    except LockstreamError as error:
        if not _all_ranks_come(farewell, ROOT_PATIENCE if comm.rank == 0 else OTHERS_PATIENCE):
            _abort(comm, f"lockstream: {error}", error.exit_code)
        if comm.rank == 0:
            raise
        sys.exit(error.exit_code)
    except Exception:
        if comm.size == 1:
            raise
        _abort(comm, f"rank {comm.rank} of {comm.size}:\n{traceback.format_exc()}", 1)
    except KeyboardInterrupt:
        if comm.size == 1:
            raise
        _abort(comm, f"rank {comm.rank} of {comm.size}: interrupted", 130)


def launched_tasks(environ: Mapping[str, str]) -> tuple[int, int]:
    """Return how many tasks the launcher says it has started, and which of them this is."""
    for size, rank in LAUNCHERS:
        if size in environ:
            return int(environ[size]), int(environ.get(rank, 0))
    return 1, 0


def _all_ranks_come(comm: MPI.Intracomm, patience: float) -> bool:
    """Wait until all ranks have come here, for `patience` seconds at most."""
    request, deadline = comm.Ibarrier(), time.monotonic() + patience
    while not request.Test():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _abort(comm: MPI.Intracomm, message: str, exit_code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    comm.Abort(exit_code)
    os._exit(exit_code)  # MPICH's Abort returns now and then, before the launcher's signal is here


def mpirun_command(ranks: int) -> list[str]:
    """Return how to start something on `ranks` ranks: the launcher of this installation, or the one on the path.

    Raises
    ------
    UserError
        If there is none.
    """
    beside = Path(sys.executable).with_name("mpirun")
    found = str(beside) if beside.exists() else shutil.which("mpirun")
    if found is None:
        raise UserError(
            "mpirun is not there: pip install 'lockstream[mpich]', or load your system's MPI module"
        )
    return [found, "-n", str(ranks)]
