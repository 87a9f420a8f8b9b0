"""The process beside rank 0: what is left of it, and of a run, when one of the two dies or Kafka stops answering."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from mpi4py import MPI
from support import dying_program
from support.kafka_logs import follow, following, options, verified
from support.programs import LOCKSTREAM, MPIRUN, run
from support.waiting import wait_until

from lockstream.bridge import Block, Field, Stream, StreamSettings, open_stream
from lockstream.bridge.errors import DeliveryFailed
from lockstream.bridge.spool import Spool
from lockstream.bridge.spool_folder import held_by
from lockstream.bridge.spool_place import spool_place
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.verify import verify_run
from lockstream.kafka.broker import BrokerInfo

U = Field("u", (64, 64))
SIMULATION = """
[run]
id = "x"
model = "heat"
steps = 100000000
[domain]
shape = [32, 32]
"""


def block(value: float) -> dict[str, Block]:
    return {"u": Block(np.full(U.shape, value, "f4"), (0, 0))}


def publish(stream: Stream, steps: range, attempt: int = 0) -> None:
    for step in steps:
        stream.publish(step, time=float(step), blocks=block(step + attempt / 2))


def publisher_of(run_id: str) -> int:
    """The process that serves a run, which holds its spool; 0 if there is none."""
    holder = held_by(spool_place() / run_id)
    return int(found[0]) if (found := re.search(r"\d+", holder)) else 0


def command_of(pid: int) -> str:
    """What a process runs; empty if it is not there any more, or waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@contextmanager
def stopped(broker: BrokerInfo) -> Iterator[None]:
    """A Kafka that does not answer, and does again afterwards."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


def drain(broker: BrokerInfo, run_id: str) -> None:
    environment = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    drained = run(LOCKSTREAM, "spool", "drain", spool_place() / run_id, env=environment)
    assert drained.returncode == 0, drained.stderr


def test_it_is_a_process_of_its_own_that_ends_with_the_run(broker: BrokerInfo, run_id: str) -> None:
    with open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker)) as stream:
        pid = publisher_of(run_id)
        assert "lockstream.bridge.publisher_process" in command_of(pid)
        assert broker.bootstrap_servers not in command_of(pid), "options may be secret"
        assert os.getsid(pid) == pid
        publish(stream, range(3))
    assert command_of(pid) == ""
    assert publisher_of(run_id) == 0


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_simulation_whose_publisher_is_killed_fails_and_says_so(
    broker: BrokerInfo, run_id: str, tmp_path: Path, ranks: int
) -> None:
    (tmp_path / "run.toml").write_text(SIMULATION)
    command = [MPIRUN, "-n", str(ranks), LOCKSTREAM, "simulate", "run.toml", "--set", f"run.id={run_id}"]
    environment = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as simulation:
        try:
            with following(broker, tmp_path, run_id, segment_seconds=0.05, on_end="links"):
                wait_until(lambda: segment_paths(tmp_path / run_id) or simulation.poll() is not None)
                pid = publisher_of(run_id)
                os.kill(pid, signal.SIGKILL)
                _, err = simulation.communicate(timeout=60)
        finally:
            if simulation.poll() is None:
                os.killpg(simulation.pid, signal.SIGKILL)
    assert simulation.returncode == 1, err
    assert re.search(rf"publisher, process {pid}, has ended \(exit code -9\); of \d+ accepted steps \d+", err)
    assert "Traceback" not in err
    assert publisher_of(run_id) == 0
    assert verify_run(tmp_path / run_id).faults == ()


def test_steps_survive_a_simulation_that_dies_while_kafka_is_away(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    """Its publisher puts them into the spool by itself, and ends."""
    environment = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    program = dying_program.__file__
    with stopped(broker):
        os.kill(broker.pid, signal.SIGCONT)  # until the program stops it
        dead = run(sys.executable, program, run_id, "40", str(broker.pid), env=environment)
        assert dead.returncode == -signal.SIGKILL, dead.stderr
        wait_until(lambda: publisher_of(run_id) == 0)
        with Spool(spool_place() / run_id, 1 << 30) as spool:
            assert spool.items == 40
    drain(broker, run_id)
    with following(broker, tmp_path, run_id, segment_seconds=0.05, on_end="links"):
        wait_until(lambda: segment_paths(tmp_path / run_id) and verify_run(tmp_path / run_id).steps == 40)
    assert verified(broker, tmp_path / run_id).status == ""
    with h5py.File(tmp_path / run_id / "run.h5") as file:
        assert (file["u"][:, 5, 5] == np.arange(40)).all()


def test_sync_while_kafka_does_not_answer(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    """What is not acknowledged is on the disk then; and comes before what is published later."""
    stream = open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker))
    publish(stream, range(2))
    assert stream.sync(20.0)
    with stopped(broker):
        publish(stream, range(2, 5))
        assert stream.sync(0.2)
        progress = stream.progress
        assert progress is not None
        assert (progress.acknowledged, progress.spooled) == (2, 3)
    publish(stream, range(5, 8))
    summary = stream.close()
    assert summary is not None
    assert (summary.acknowledged, summary.spooled, summary.spilled >= 3) == (8, 0, True)
    follow(broker, tmp_path, run_id)
    assert verified(broker, tmp_path / run_id).steps == 8


def test_a_later_attempt_supersedes_what_lies_beyond_its_beginning(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    """The first one's end is still in the spool when the second begins."""
    settings = StreamSettings(close_timeout=0.3)
    first = open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker), settings=settings)
    publish(first, range(3))
    assert first.sync(20.0)
    with stopped(broker):
        publish(first, range(3, 7))
        summary = first.close("stopped", "enough")
        assert summary is not None
        assert summary.spooled == 4
    with open_stream(
        MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker), attempt=1, after_step=4, steps_before=5
    ) as second:
        publish(second, range(5, 9), attempt=1)
    follow(broker, tmp_path, run_id)
    result = verified(broker, tmp_path / run_id)
    assert (result.steps, result.status, result.offsets["quarantined"]) == (9, "completed", 0)
    with h5py.File(tmp_path / run_id / "run.h5") as file:
        assert file["u"][:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5.5, 6.5, 7.5, 8.5]


def test_a_simulation_that_goes_on_without_its_publisher_is_told(broker: BrokerInfo, run_id: str) -> None:
    stream = open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker))
    publish(stream, range(2))
    assert stream.sync(20.0)
    os.kill(publisher_of(run_id), signal.SIGKILL)
    said = r"exit code -9\); of \d+ accepted steps 2 are acknowledged for certain"
    with pytest.raises(DeliveryFailed, match=said):
        publish(stream, range(2, 1000))
    with pytest.raises(DeliveryFailed, match=said):
        stream.close("failed")
