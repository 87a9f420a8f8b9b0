"""The job script for a simulation under Open MPI, started by its mpirun on two nodes."""

import os
import re
from pathlib import Path

import pytest
from support.jobs import Jobs
from support.open_mpi import ROOT_MAY, open_mpi

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_mpi(tmp_path_factory.mktemp("open-mpi"))


@pytest.mark.parametrize(("launch", "nodes"), [("mpirun", 1), ("mpirun", 2), ("srun", 1)])
def test_a_job_under_open_mpi_goes_on_to_the_same_end(
    jobs: Jobs, programs: Path, run_id: str, launch: str, nodes: int
) -> None:
    path = f"{programs}{os.pathsep}{jobs.slurm.environment['PATH']}"
    job = jobs.submit(
        "simulate", f"--nodes={nodes}", LAUNCH=launch, PATH=path, SLURM_MPI_TYPE="pmix", **ROOT_MAY
    )
    jobs.interrupt(job)
    jobs.completes(job, 300)
    assert re.search(r"attempt 1, from step [1-9]\d* on", jobs.output(job)), jobs.output(job)
    jobs.are_equal(jobs.archived(f"job-{job}"), jobs.reference(run_id))
