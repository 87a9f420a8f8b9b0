"""What Slurm's own words mean for a run."""

from lockstream.cli.checks.finding import State
from lockstream.cli.checks.slurm import check_slurm, judge_job, judge_plugins

LISTED = "MPI plugin types are...\n\tcray_shasta\n\tnone\n\tpmi2\n"
JOB = "JobId=7 JobName=run\n   Requeue=1 Restarts=0\n   RunTime=00:03:12 TimeLimit=01:00:00 TimeMin=N/A\n"


def test_mpich_starts_by_pmi2() -> None:
    finding = judge_plugins(LISTED, "MPICH Version: 5.0.2")
    assert finding.state is State.OK
    assert "--mpi=pmi2" in finding.found


def test_open_mpi_wants_pmix() -> None:
    finding = judge_plugins(LISTED, "Open MPI v5.0.8")
    assert finding.state is State.WARNING
    assert "needs pmix" in finding.found
    assert (
        judge_plugins(
            LISTED + "\tpmix\n\tspecific pmix plugin versions available: pmix_v4", "Open MPI v5"
        ).state
        is State.OK
    )


def test_a_silent_srun_is_no_verdict() -> None:
    assert judge_plugins("", "MPICH").state is State.UNKNOWN


def test_a_job_that_may_be_requeued() -> None:
    requeue, limit = judge_job(JOB)
    assert (requeue.state, limit.state) == (State.OK, State.OK)
    assert limit.found == "01:00:00, of which 00:03:12 are over"


def test_a_job_that_may_not() -> None:
    requeue, _ = judge_job(JOB.replace("Requeue=1", "Requeue=0"))
    assert requeue.state is State.WARNING
    assert "#SBATCH --requeue" in requeue.cure


def test_no_slurm_is_no_fault_but_a_job_without_srun_is() -> None:
    (outside,) = check_slurm("", {"PATH": "/nowhere"})
    (inside,) = check_slurm("", {"PATH": "/nowhere", "SLURM_JOB_ID": "7"})
    assert (outside.state, inside.state) == (State.UNKNOWN, State.FAULT)
