"""Several producers and several consumers at once, as it is meant to be used, each a program of its own."""

import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from mpi4py import MPI
from support.programs import LOCKSTREAM, MPIRUN, run
from support.reference import gray_scott
from support.waiting import wait_until

from lockstream.kafka.broker import BrokerInfo
from lockstream.mpi_jobs.config import read_configuration
from lockstream.mpi_jobs.initial import make_initial_state
from lockstream.mpi_jobs.models.gray_scott import PATTERNS
from lockstream.mpi_jobs.observers import Snapshot
from lockstream.mpi_jobs.simulation import run_simulation

EVERY = 10
RUNS = {
    "gray-scott": """
[run]
model = "gray-scott"
steps = 300
[domain]
shape = [90, 70]
spacing = [0.009765625, 0.009765625]
dtype = "float64"
[model]
pattern = "theta"
dt = 1.0
[stream]
every = 10
tile_bytes = 16384
[archive]
segment_bytes = 400000
""",
    "heat": """
[run]
model = "heat"
steps = 300
[domain]
shape = [64, 96]
dtype = "float32"
[stream]
every = 10
codec = "deflate"
""",
}


@pytest.fixture
def env(broker: BrokerInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers)


@contextmanager
def in_background(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([str(word) for word in command], start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


@pytest.mark.usefixtures("env")
def test_two_models_one_archiver_of_all_runs_and_two_analysis_workers(run_id: str, tmp_path: Path) -> None:
    archive, group = tmp_path / "archive", f"group-{run_id}"
    names = {model: f"{run_id}-{n}" for n, model in enumerate(RUNS)}
    named = [word for name in names.values() for word in ("--run", name)]
    analyse = [LOCKSTREAM, "analyse", *named, "--archive", archive, "--group", group]
    with ExitStack() as stack:
        follower = stack.enter_context(in_background(LOCKSTREAM, "archive", "follow", "--archive", archive))
        workers = [stack.enter_context(in_background(*analyse)) for _ in range(2)]
        simulations = []
        for model, text in RUNS.items():
            config = tmp_path / f"{model}.toml"
            config.write_text(text)
            simulate = [MPIRUN, "-n", "2", LOCKSTREAM, "simulate", config, "--set", f"run.id={names[model]}"]
            simulations.append(stack.enter_context(in_background(*simulate)))
        assert [simulation.wait(60) for simulation in simulations] == [0, 0]
        assert [worker.wait(60) for worker in workers] == [0, 0]
        for name in names.values():
            wait_until(lambda name=name: is_merged(archive / name / "run.h5"), 40)
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(20) == 0
    for model, name in names.items():
        verified = run(LOCKSTREAM, "archive", "verify", archive / name, "--against-kafka")
        assert verified.returncode == 0, verified.stdout
        assert_equals_simulation_without_kafka(
            RUNS[model], archive / name / "run.h5", tmp_path / f"{model}.toml"
        )
        with (
            h5py.File(archive / name / "analysis.h5") as analysis,
            h5py.File(archive / name / "run.h5") as file,
        ):
            assert analysis["step"][()].tolist() == file["step"][()].tolist()
            assert np.isfinite(analysis["spectrum"][()]).all()
    assert_frames_follow_from_each_other(archive / names["gray-scott"] / "run.h5")


def is_merged(path: Path) -> bool:
    if not path.exists():
        return False
    with h5py.File(path) as file:
        return "lockstream/account" in file


class Keeper:
    """Keeps what the observers of a simulation without Kafka are shown."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, np.ndarray]] = {}

    def observe(self, snapshot: Snapshot) -> None:
        self.seen[snapshot.step] = {name: block.copy() for name, block in snapshot.blocks.items()}

    def close(self, error: BaseException | None) -> None:
        pass


def assert_equals_simulation_without_kafka(text: str, run_file: Path, config: Path) -> None:
    configuration = read_configuration(config, {}, ["run.id=alone"], ranks=1)
    keeper = Keeper()
    run_simulation(MPI.COMM_SELF, configuration, make_initial_state(MPI.COMM_SELF, configuration), [keeper])
    steps = tomllib.loads(text)["run"]["steps"]
    with h5py.File(run_file) as file:
        assert file["step"][()].tolist() == list(range(0, steps + 1, EVERY)) == sorted(keeper.seen)
        for row, step in enumerate(file["step"][()].tolist()):
            for name, expected in keeper.seen[step].items():
                assert file[name][row].tobytes() == expected.tobytes(), f"{name} at step {step}"


def assert_frames_follow_from_each_other(run_file: Path) -> None:
    """Frame n + K of the archive is K steps of an independent numpy implementation from frame n."""
    F, k = PATTERNS["theta"]
    h = 0.009765625
    with h5py.File(run_file) as file:
        u, v = file["u"][()], file["v"][()]
    for n in (0, 7, len(u) - 2):
        later = gray_scott(u[n], v[n], EVERY, F=F, k=k, Du=2e-5, Dv=1e-5, dt=1.0, spacing=(h, h))
        np.testing.assert_allclose(u[n + 1], later[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(v[n + 1], later[1], rtol=0, atol=1e-12)
