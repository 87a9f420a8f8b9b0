import sys

import pytest
from support.programs import run

from lockstream.mpi_jobs.launch import launched_tasks


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (1, 0)),
        ({"SLURM_NTASKS": "4"}, (4, 0)),
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"}, (1, 0)),  # srun -n 1 in a larger job
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, (2, 1)),
        ({"SLURM_NTASKS": "4", "PMI_SIZE": "1", "PMI_RANK": "0"}, (1, 0)),  # mpirun -n 1 in a larger job
        ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"}, (3, 2)),
    ],
)
def test_the_most_specific_launcher_counts(environ: dict[str, str], expected: tuple[int, int]) -> None:
    assert launched_tasks(environ) == expected


@pytest.mark.parametrize("module", ["lockstream.cli.simulate", "lockstream.mpi_jobs.simulation"])
def test_importing_initialises_no_mpi(module: str) -> None:
    code = f"import {module}, sys; sys.exit('mpi4py.MPI' in sys.modules)"
    ended = run(sys.executable, "-c", code)
    assert ended.returncode == 0, ended.stderr
