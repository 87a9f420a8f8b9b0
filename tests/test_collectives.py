"""Runs the tests in ``collectives`` on 1 to 4 ranks."""

import sys
from pathlib import Path

import pytest
from support.programs import mpirun

FOLDER = Path(__file__).parent / "collectives"
YIELDING = {
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1"
}  # four ranks get through on two cores in a third of the time


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_collectives(ranks: int) -> None:
    pytest_ = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--rootdir={FOLDER.parent.parent}"]
    ended = mpirun(ranks, sys.executable, "-m", "mpi4py", *pytest_, FOLDER, env=YIELDING, timeout=110)
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-8000:]
    assert ended.stdout.count(" passed") == ranks, ended.stdout[-8000:]
