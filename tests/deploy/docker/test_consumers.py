"""The profiles consumers and simulation: everything in containers, and as many workers as one asks for."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
from deploy.docker.engine import Engine
from deploy.docker.settings import SINGLE
from deploy.docker.stack import Stack, stack
from support.waiting import wait_until

STEPS = 21
RUN = """
[run]
id = "replaced"
model = "gray-scott"
steps = 2000
[domain]
shape = [64, 64]
spacing = [0.01, 0.01]
[stream]
every = 100
partitions = 4
"""
MEMBERS = """
import sys
from confluent_kafka.admin import AdminClient
admin = AdminClient({"bootstrap.servers": sys.argv[1]})
group = admin.describe_consumer_groups(["lockstream-analysis"])["lockstream-analysis"].result(20)
print(len([member for member in group.members if member.assignment.topic_partitions]))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an ordinary user."""
    folder = tmp_path_factory.mktemp("archive")
    if os.getuid() == 0:
        os.chown(folder, 1000, 1000)
    return folder


@pytest.fixture(scope="module")
def consumers(
    engine: Engine, image: str, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    configs = tmp_path_factory.mktemp("config")
    configs.chmod(0o755)
    (configs / "run.toml").write_text(RUN)
    owner = f"{archive.stat().st_uid}:{archive.stat().st_gid}"
    env = {"ARCHIVE": str(archive), "ARCHIVE_USER": owner, "SEGMENT_SECONDS": "1"}
    env |= {"CONFIG_FOLDER": str(configs), "RUN_CONFIG": "/config/run.toml"}
    with stack(engine, SINGLE, **env) as started:
        yield started


def simulate(consumers: Stack, run_id: str) -> str:
    """Run the simulation in a container of its own."""
    consumers.env["RUN_ID"] = run_id
    return consumers.compose("run", "--rm", "simulation", timeout=240)


def members(consumers: Stack) -> int:
    """Workers that have a part of the work."""
    asked = consumers.engine.host(sys.executable, "-c", MEMBERS, consumers.servers)
    return int(asked.stdout or 0)


def has_ended(folder: Path) -> bool:
    """Whether a run is one whole file, and analysed to its end."""
    is_merged = (folder / "run.h5").exists() and not any(folder.glob("segments/*"))
    if not is_merged or not (folder / "analysis.h5").exists():
        return False
    with h5py.File(folder / "analysis.h5") as found:
        return len(found["step"]) == STEPS


def test_consumers_are_scaled_up_and_down_and_miss_nothing(
    consumers: Stack, archive: Path, run_id: str
) -> None:
    consumers.up("--scale", "analysis=3", profiles=["consumers"])
    assert [consumers.health(each) for each in consumers.running("archiver")] == ["healthy"]
    assert len(consumers.running("analysis")) == 3

    simulate(consumers, f"{run_id}-a")
    wait_until(lambda: members(consumers) == 3, limit=60)
    wait_until(lambda: has_ended(archive / f"{run_id}-a"), limit=60)

    consumers.up("--scale", "analysis=1", profiles=["consumers"])
    assert len(consumers.running("analysis")) == 1
    wait_until(lambda: members(consumers) == 1, limit=60)
    simulate(consumers, f"{run_id}-b")
    wait_until(lambda: has_ended(archive / f"{run_id}-b"), limit=60)

    assert sorted(path.name for path in archive.iterdir() if path.is_dir()) == [f"{run_id}-a", f"{run_id}-b"]
    assert [run["steps"] for run in consumers.verified(archive)] == [STEPS, STEPS]


def test_the_archiver_stops_in_good_order_and_goes_on(consumers: Stack, archive: Path, run_id: str) -> None:
    consumers.up(profiles=["consumers"])
    stopped = consumers.running("archiver")
    consumers.compose("stop", "archiver")
    state = json.loads(consumers.engine.docker("inspect", "--format", "{{json .State}}", *stopped))
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    simulate(consumers, run_id)
    consumers.compose("start", "archiver")
    wait_until(lambda: has_ended(archive / run_id), limit=60)
    assert STEPS in [run["steps"] for run in consumers.verified(archive / run_id)]
