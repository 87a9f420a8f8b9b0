"""The job script for a simulation under Open MPI, started by its mpirun on two nodes."""

import os
import re
from pathlib import Path

import pytest
from support.jobs import Jobs
from support.open_mpi import ROOT_MAY, open_mpi

STEPS = "run.steps=6000"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    return open_mpi(tmp_path / "open-mpi")


@pytest.mark.timeout(900)
def test_a_job_under_open_mpi_goes_on_to_the_same_end(jobs: Jobs, programs: Path, run_id: str) -> None:
    path = f"{programs}{os.pathsep}{jobs.slurm.environment['PATH']}"
    told = {"LAUNCH": "mpirun", "PATH": path, **ROOT_MAY}
    job = jobs.submit("simulate", "--nodes=2", words=("--set", STEPS), **told)
    jobs.interrupt(job)
    jobs.completes(job, 500)
    output = jobs.output(job)
    assert re.search(r"attempt 1, from step [1-9]\d* on", output), output
    assert "\x1b" not in output, "nobody draws in a file"
    jobs.are_equal(jobs.archived(f"job-{job}"), jobs.reference(run_id, STEPS))
