"""Slurm: whether this is a job in which a run can be warned, requeued and go on."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping

from lockstream.cli.checks.finding import Finding, fault, ok, unknown, warning

PLACE = "slurm"
ASK_SECONDS = 20.0
SCRIPT_CURE = "lockstream slurm render writes a job script with it"


def check_slurm(library: str, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look at the job that this process is part of, and at how srun would start ranks.

    Parameters
    ----------
    library
        What is known of MPI, e.g. "MPICH Version: 5.0.2"; what does not name Open MPI is taken for MPICH's like.
    environ
        The environment.
    """
    if shutil.which("srun", path=environ.get("PATH")) is None:
        if "SLURM_JOB_ID" in environ:
            cure = "load the site's Slurm module, or start ranks with mpirun"
            yield fault(PLACE, "srun", "this is a job, and there is no srun on PATH", cure)
        else:
            yield unknown(
                PLACE, "srun", "no Slurm on this machine", "run lockstream doctor where the job runs"
            )
        return
    yield judge_plugins(_ask("srun", "--mpi=list"), library)
    job = environ.get("SLURM_JOB_ID")
    if job is None:
        yield unknown(
            PLACE, "job", "not inside a job", "run lockstream doctor in the job script for the rest"
        )
        return
    yield from judge_job(_ask("scontrol", "show", "job", job))
    yield _scratch(environ)


def judge_plugins(listed: str, library: str) -> Finding:
    """Say with which ``--mpi`` srun starts ranks of that library, from what ``srun --mpi=list`` prints."""
    there = set(re.findall(r"\b(pmi2|pmix)\w*", listed))
    if not listed:
        return unknown(PLACE, "srun --mpi", "srun does not answer", "is slurmctld up? try: scontrol ping")
    family, kinds = ("Open MPI", ("pmix",)) if "Open MPI" in library else ("MPICH", ("pmi2", "pmix"))
    fitting = [name for name in kinds if name in there]
    if fitting:
        return ok(PLACE, "srun --mpi", f"srun --mpi={fitting[0]} starts ranks of {family}")
    found = f"srun has {', '.join(sorted(there)) or 'no PMI'}, and {family} needs {kinds[0]}"
    return warning(
        PLACE, "srun --mpi", found, "start with mpirun inside the job (LAUNCH=mpirun in our scripts)"
    )


def judge_job(shown: str) -> Iterator[Finding]:
    """Say whether the job can be requeued and has a limit, from what ``scontrol show job`` prints."""
    facts = dict(re.findall(r"(\w+)=(\S*)", shown))
    if "Requeue" not in facts:
        yield unknown(
            PLACE, "requeue", "scontrol does not know the job", "is slurmctld up? try: scontrol ping"
        )
        return
    if facts["Requeue"] == "1":
        yield ok(PLACE, "requeue", "the job may be requeued: it goes on by itself after its time limit")
    else:
        cure = f"#SBATCH --requeue; {SCRIPT_CURE}"
        yield warning(PLACE, "requeue", "the job may not be requeued: it ends at its time limit", cure)
    limit = facts.get("TimeLimit", "")
    if limit == "UNLIMITED":
        yield ok(PLACE, "time limit", "none")
    else:
        yield ok(PLACE, "time limit", f"{limit}, of which {facts.get('RunTime', '?')} are over")


def _scratch(environ: Mapping[str, str]) -> Finding:
    for name in ("SLURM_TMPDIR", "TMPDIR"):
        if environ.get(name, "").rstrip("/") not in ("", "/tmp"):  # noqa: S108 - a comparison
            return ok(PLACE, "node-local folder", f"{name} = {environ[name]}")
    cure = "export TMPDIR=… in the job script, or set stream.spool: else the spool is below the home folder"
    return warning(PLACE, "node-local folder", "neither SLURM_TMPDIR nor TMPDIR names one", cure)


def _ask(*command: str) -> str:
    """Return what a command of Slurm prints, on either stream; empty if it does not come back."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""
