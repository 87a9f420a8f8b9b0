"""What the page on streaming one's own solver says is run, word by word, and arrives."""

import sys
from pathlib import Path

import numpy as np
from support import how_to_program
from support.kafka_logs import follow, verified
from support.programs import mpirun

from lockstream.kafka import open_run
from lockstream.kafka.broker import BrokerInfo

TESTS = Path(how_to_program.__file__).parents[1]
PAGE = TESTS.parent / "docs" / "how-to" / "stream-your-own-solver.md"
RUNS = ("tokamak-7", "tokamak-8", "cavity-1", "earth-ocean", "earth-air", "vortex-9", "petsc")


def test_all_python_of_the_page_is_a_program(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    suffix = run_id[-8:]
    env = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "PYTHONPATH": str(TESTS)}
    program = ["-m", "mpi4py", "-m", "support.how_to_program", PAGE, suffix]
    done = mpirun(2, sys.executable, *program, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 steps" in done.stdout
    runs = {name: f"{name}-{suffix}" for name in RUNS}
    follow(broker, tmp_path, *runs.values())
    for run in runs.values():
        assert verified(broker, tmp_path / run).status == "completed"
    with open_run(tmp_path / runs["tokamak-7"]) as run:
        assert run["u"].shape == (2, 2048, 2048)
        assert run["u"].mean(("y", "x")).values.tolist() == [1, 2]
        assert run["mass"].values.tolist() == [1, 1]
    with open_run(tmp_path / runs["cavity-1"]) as run:
        assert {name: run[name].dims[1:] for name in ("pressure", "profile", "modes")} == {
            "pressure": ("z", "y", "x"),
            "profile": ("z",),
            "modes": ("ky", "kx"),
        }
        assert run["z"].values[[0, -1]].tolist() == [-1, 0.875]
        assert (run["modes"].dtype, run["is_solid"].dtype) == (np.complex128, np.uint8)
    with open_run(tmp_path / runs["petsc"]) as run:
        assert (run["scalar"].dims[1:], run["vector"].dims[1:]) == (("z", "y", "x"), ("y", "x", "component"))
        assert run["scalar"].values.ravel().tolist() == list(range(60))
        assert run["vector"].values.ravel().tolist() == list(range(40))
