"""The committed job scripts on real daemons: they go on by themselves, and what they archive is whole."""

import re

import pytest
from support.jobs import Jobs, processes_of
from support.slurm import Slurm
from support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("launch", ["srun", "mpirun"])
def test_a_job_that_is_told_of_its_limit_goes_on_to_the_same_end(
    jobs: Jobs, slurm: Slurm, run_id: str, launch: str
) -> None:
    job = jobs.submit("simulate", "--nodes=2", LAUNCH=launch)
    jobs.interrupt(job)
    jobs.completes(job)
    assert re.search(r"attempt 1, from step [1-9]\d* on", jobs.output(job)), jobs.output(job)
    jobs.are_equal(jobs.archived(f"job-{job}"), jobs.reference(run_id))


def test_a_run_that_fails_is_not_repeated(jobs: Jobs, slurm: Slurm) -> None:
    job = jobs.submit("simulate", words=("--set", "model.F=nonsense"))
    assert slurm.wait(job) == ["FAILED"]
    assert slurm.restarts(job) == 0
    assert "model.F" in jobs.output(job)
    bounded = jobs.submit("simulate", MAX_ATTEMPTS="1", words=("--set", "run.steps=10000000"))
    jobs.wait_for_checkpoint(bounded)
    slurm.ask("scancel", "--batch", "--signal=USR1", bounded)
    assert slurm.wait(bounded) == ["FAILED"]
    assert slurm.restarts(bounded) == 0
    assert "stopped again in attempt 1" in jobs.output(bounded)


def test_a_cancelled_job_leaves_nothing_behind(jobs: Jobs, slurm: Slurm) -> None:
    job = jobs.submit("simulate-with-kafka", words=("--set", "run.steps=10000000"))
    jobs.wait_for_checkpoint(job)
    assert processes_of(job), "it looks for the right ones"
    slurm.ask("scancel", job)
    assert slurm.wait(job) == ["CANCELLED"]
    wait_until(lambda: processes_of(job) == [], 20)
    assert slurm.restarts(job) == 0
