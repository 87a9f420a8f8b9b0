"""The examples are run as they stand, and what the archive shows is what their physics demands."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray
from support.kafka_logs import follow, verified
from support.programs import mpirun

from lockstream.kafka import open_run
from lockstream.kafka.broker import BrokerInfo

EXAMPLES = Path(__file__).parents[2] / "examples"


def archived(broker: BrokerInfo, folder: Path, example: str, ranks: int, run: str, *parts: str) -> list[Path]:
    """Run an example, and archive its run, or the runs that it has for its parts."""
    env = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    done = mpirun(ranks, sys.executable, "-m", "mpi4py", EXAMPLES / example, run, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    runs = [f"{run}-{part}" for part in parts] or [run]
    follow(broker, folder, *runs)
    assert {verified(broker, folder / run).status for run in runs} == {"completed"}
    return [folder / run for run in runs]


def test_the_drum(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    (folder,) = archived(broker, tmp_path, "own_solver.py", 3, run_id)
    with open_run(folder) as run:
        height, mean_square = run["height"].values, run["mean_square"].values
        assert run["step"].values.tolist() == list(range(0, 2001, 50))
        assert run["height"].attrs["units"] == "mm"
    np.testing.assert_allclose((height**2).mean((1, 2)), mean_square, rtol=1e-12)
    y, x = np.mgrid[-1:257, 0:256]
    now = before = 0.5 * np.exp(-((y - 256 / 3) ** 2 + (x - 128) ** 2) / 50)
    for _ in range(100):  # as one rank alone does it; rims are at rest
        around = now[:-2, 1:-1] + now[2:, 1:-1] + now[1:-1, :-2] + now[1:-1, 2:]
        after = now.copy()
        after[1:-1, 1:-1] = 2 * now[1:-1, 1:-1] - before[1:-1, 1:-1] + (around - 4 * now[1:-1, 1:-1]) / 4
        before, now = now, after
    np.testing.assert_allclose(height[2], now[1:-1], rtol=0, atol=1e-12)
    assert np.abs(height).max() < 1


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_vortex_in_pencils(broker: BrokerInfo, run_id: str, tmp_path: Path, ranks: int) -> None:
    (folder,) = archived(broker, tmp_path, "taylor_green.py", ranks, run_id)
    with open_run(folder) as run:
        assert run["step"].values.tolist() == list(range(0, 61, 6))
        assert (run["u"].dims, run["u_hat"].dims) == (("step", "z", "y", "x"), ("step", "kz", "ky", "kx"))
        assert run["u_hat"].dtype == np.complex128
        z, y, x = np.meshgrid(run["z"], run["y"], run["x"], indexing="ij")
        time, energy = run["time"].values, run["energy"].values
        u_hat, velocity = run["u_hat"].values, np.stack([run[name].values for name in "uvw"])
    np.testing.assert_allclose(velocity[0, 0], np.sin(x) * np.cos(y) * np.cos(z), atol=1e-12)
    # What was published from space and what was published from the spectrum is the same flow.
    np.testing.assert_allclose(np.fft.rfftn(velocity[0], axes=(1, 2, 3)), u_hat, atol=1e-9)
    np.testing.assert_allclose((velocity**2).sum(0).mean((1, 2, 3)) / 2, energy, rtol=1e-12)
    assert energy[0] == pytest.approx(1 / 8)
    rate = np.diff(energy) / np.diff(time)
    assert rate[0] == pytest.approx(-2 * 0.02 * 3 / 8, rel=0.02)  # -2 viscosity k² energy, at first
    assert (rate < 0).all()
    # Pressure alone sets w going, which was nothing at first.
    assert np.abs(velocity[2, 0]).max() < 1e-12 < 0.01 < np.abs(velocity[2, -1]).max()


@pytest.mark.parametrize("ranks", [2, 3])
def test_ocean_and_atmosphere(broker: BrokerInfo, run_id: str, tmp_path: Path, ranks: int) -> None:
    example, parts = "ocean_and_atmosphere.py", ("ocean", "atmosphere")
    folders = archived(broker, tmp_path, example, ranks, run_id, *parts)
    with open_run(folders[0]) as ocean, open_run(folders[1]) as atmosphere:
        assert ocean["step"].values.tolist() == atmosphere["step"].values.tolist() == list(range(0, 401, 20))
        water, air = ocean["temperature"].values, atmosphere["air"].values
        surface, is_warm = ocean["surface"].values, ocean["is_warm"].values
        heat = ocean["heat"].values + atmosphere["heat"].values
        assert ocean["surface"].dims == atmosphere["air"].dims == ("step", "longitude")
        assert ocean["depth"].attrs["units"] == "m"
    np.testing.assert_allclose(water.sum((1, 2)) + air.sum(1), heat, rtol=1e-12)
    np.testing.assert_allclose(heat, heat[0], rtol=1e-12)  # what one loses the other gains
    assert np.ptp(air[-1]) > 1 > np.ptp(air[0]) == 0  # the air has felt the sea
    assert surface.tobytes() == water[:, 0].astype("f4").tobytes()
    assert (is_warm == (water[:, 0] > 290)).all()
    assert is_warm.any()


def test_one_rank_cannot_be_two_models() -> None:
    done = mpirun(1, sys.executable, EXAMPLES / "ocean_and_atmosphere.py")
    assert done.returncode == 1
    assert "mpirun -n 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_bridge_per_node(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    env = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    # Two ranks make a node here, and the third one is alone on the second node.
    done = mpirun(3, sys.executable, "-m", "mpi4py", EXAMPLES / "bridge_per_node.py", run_id, "2", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    runs = [f"{run_id}-node0", f"{run_id}-node1"]
    follow(broker, tmp_path, *runs)
    assert {verified(broker, tmp_path / run).status for run in runs} == {"completed"}
    with open_run(tmp_path / runs[0]) as upper, open_run(tmp_path / runs[1]) as lower:
        whole = xarray.concat([upper["smoke"], lower["smoke"]], "y")
        assert [part["smoke"].shape for part in (upper, lower)] == [(11, 80, 64), (11, 40, 64)]
        assert whole["y"].values.tolist() == list(range(120))
        assert whole["step"].values.tolist() == list(range(0, 201, 20))
        assert upper["mass"].values.tobytes() == lower["mass"].values.tobytes()
        np.testing.assert_allclose(whole.values.sum((1, 2)), upper["mass"].values, rtol=1e-12)
    y, x = np.mgrid[0:120, 0:64]
    smoke = np.exp(-((y - 40) ** 2 + (x - 32) ** 2) / 50)
    for _ in range(200):  # as one rank alone does it; all edges are closed
        around = np.pad(smoke, 1, "edge")
        sides = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
        smoke += 0.2 * (sides - 4 * smoke)
    np.testing.assert_allclose(whole.values[-1], smoke, rtol=0, atol=1e-13)
