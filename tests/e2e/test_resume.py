"""Runs that are stopped, killed and steered, and go on as if nothing had happened."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.kafka_logs import follow, verified
from support.programs import LOCKSTREAM, MPIRUN, run
from support.waiting import wait_until

from lockstream.bridge.client import admin_client
from lockstream.bridge.messages import run_topic
from lockstream.bridge.topics import create_topic
from lockstream.kafka.archive.show import describe
from lockstream.kafka.broker import BrokerInfo

STEPS, EVERY = 20_000, 500
RUN = f"""
[run]
id = "x"
model = "gray-scott"
steps = {STEPS}
[domain]
shape = [48, 64]
spacing = [0.01, 0.01]
[stream]
every = {EVERY}
[checkpoint]
every = 2000
"""


class Runs:
    """Starts one run's attempts."""

    def __init__(self, broker: BrokerInfo, folder: Path, run_id: str) -> None:
        self.run_id, self._folder = run_id, folder
        (folder / "run.toml").write_text(RUN)
        self.checkpoints = folder / "checkpoints" / run_id
        self._environment = os.environ | {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}

    def command(self, ranks: int, *words: str, run_id: str = "") -> list[str]:
        command = [MPIRUN, "-n", str(ranks), LOCKSTREAM, "simulate", "run.toml"]
        return [*command, "--set", f"run.id={run_id or self.run_id}", *words]

    def to_end(self, ranks: int, *words: str, run_id: str = "") -> subprocess.CompletedProcess[str]:
        return run(*self.command(ranks, *words, run_id=run_id), env=self._environment, cwd=self._folder)

    @contextmanager
    def going(self, ranks: int, *words: str) -> Iterator[subprocess.Popen[str]]:
        """An attempt that has written a checkpoint."""
        with subprocess.Popen(
            self.command(ranks, *words),
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                wait_until(lambda: any(self.checkpoints.glob("step-*")) or process.poll() is not None, 60)
                assert process.poll() is None, process.communicate()
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def steer(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(LOCKSTREAM, "steer", self.run_id, *words, "--wait", "20", env=self._environment)


@pytest.fixture
def runs(broker: BrokerInfo, tmp_path: Path, run_id: str) -> Runs:
    return Runs(broker, tmp_path, run_id)


def fields(broker: BrokerInfo, archive: Path, run_id: str) -> dict[str, bytes]:
    """Everything that an archived run shows, once it is proven whole."""
    follow(broker, archive, run_id)
    assert verified(broker, archive / run_id).status == "completed"
    with h5py.File(archive / run_id / "run.h5") as file:
        assert np.array_equal(file["step"][()], np.arange(0, STEPS + 1, EVERY))
        return {name: file[name][()].tobytes() for name in ("time", "u", "v")}


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, 75, "stopped by SIGTERM; the same command with --resume goes on"),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_a_run_that_was_stopped_or_killed_goes_on_on_other_ranks_to_the_same_end(
    broker: BrokerInfo, runs: Runs, tmp_path: Path, number: signal.Signals, code: int, said: str
) -> None:
    with runs.going(2) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert said in out
    resumed = runs.to_end(3, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert re.search(r"attempt 1, from step \d+ on", resumed.stdout)
    reference = runs.to_end(1, run_id=f"whole-{runs.run_id[-8:]}")
    assert reference.returncode == 0, reference.stderr
    whole = fields(broker, tmp_path / "archive", f"whole-{runs.run_id[-8:]}")
    assert fields(broker, tmp_path / "archive", runs.run_id) == whole


def test_one_command_starts_a_run_and_goes_on_with_it(runs: Runs) -> None:
    """What a job script wants that is put back into the queue."""
    short = ("--resume=auto", "--no-stream", "--set", "run.steps=4000")
    assert "attempt" not in runs.to_end(1, *short).stdout
    again = runs.to_end(2, *short)
    assert "attempt 1, from step 4000 on" in again.stdout
    less = runs.to_end(1, "--resume=auto", "--no-stream", "--set", "run.steps=3000")
    assert (less.returncode, "the checkpoint is of step 4000 already" in less.stderr) == (2, True)
    refused = runs.to_end(1, "--no-stream", "--set", "run.steps=4000")
    assert (refused.returncode, "go on with it (--resume)" in refused.stderr) == (2, True)
    missing = runs.to_end(1, "--no-stream", "--resume", run_id="never-seen")
    assert (missing.returncode, "no sound checkpoint is there" in missing.stderr) == (2, True)
    other = runs.to_end(1, "--no-stream", "--resume", "--set", "domain.shape=[48, 63]")
    assert (other.returncode, "domain.shape" in other.stderr) == (2, True)
    assert "Traceback" not in refused.stderr + missing.stderr + other.stderr


@pytest.mark.timeout(240)
def test_a_run_is_steered_and_goes_on_as_it_was_steered(
    broker: BrokerInfo, runs: Runs, tmp_path: Path
) -> None:
    words = ("--set", "steering.enabled=true", "--set", "run.steps=2000000")
    with runs.going(2, *words) as process:
        paused = runs.steer("pause")
        assert re.search(r"took effect at step \d+", paused.stdout), paused.stderr
        assert runs.steer("pause").returncode == 1
        changed = runs.steer("set", "model.F=0.035")
        assert "0.03 -> 0.035" in changed.stdout
        refused = runs.steer("set", "model.Q=1")
        assert (refused.returncode, "cannot be steered" in refused.stdout + refused.stderr) == (1, True)
        assert runs.steer("every", "1000").returncode == 0
        assert runs.steer("resume").returncode == 0
        assert runs.steer("stop").returncode == 0
        out, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "stopped by" in out
    end = int(re.search(r"stopped at step (\d+)", out)[1]) + 3000  # type: ignore[index]
    resumed = runs.to_end(2, "--resume", "--set", "steering.enabled=true", "--set", f"run.steps={end}")
    assert resumed.returncode == 0, resumed.stderr
    follow(broker, tmp_path / "archive", runs.run_id)
    assert verified(broker, tmp_path / "archive" / runs.run_id).status == "completed"
    commands = describe(tmp_path / "archive" / runs.run_id).steered
    assert [command.command for command in commands] == [
        "pause", "pause", "set", "set", "every", "resume", "stop"
    ]  # fmt: skip
    assert [bool(command.refused) for command in commands] == [False, True, False, True, False, False, False]
    with h5py.File(tmp_path / "archive" / runs.run_id / "run.h5") as file:
        steps = file["step"][()]
    after = steps[steps > end - 3000]
    assert len(after) >= 2
    assert set(np.diff(after)) == {1000}, "the changed interval outlives the restart"


def test_what_kafka_refuses_for_good_is_not_worth_another_start(broker: BrokerInfo, runs: Runs) -> None:
    admin, topic = admin_client({"bootstrap.servers": broker.bootstrap_servers}), run_topic(runs.run_id)
    create_topic(admin, topic, partitions=1, replication=1, settings={"max.message.bytes": "2000"})
    refused = runs.to_end(2, "--set", "run.steps=100000000")
    assert refused.returncode == 1, refused.stderr
    assert "Kafka refused it" in refused.stderr
    assert re.search(
        r"cure that, then start it with --resume; the checkpoint of step \d+ is kept", refused.stderr
    )
    assert "Traceback" not in refused.stderr


def test_a_run_whose_topic_is_gone_does_not_go_on(broker: BrokerInfo, runs: Runs) -> None:
    with runs.going(2) as process:
        process.terminate()
        assert process.wait(60) == 75
    admin, topic = admin_client({"bootstrap.servers": broker.bootstrap_servers}), run_topic(runs.run_id)
    admin.delete_topics([topic])[topic].result(20)
    again = runs.to_end(2, "--resume=auto")
    assert (again.returncode, f"topic '{topic}' is gone" in again.stderr) == (2, True)
