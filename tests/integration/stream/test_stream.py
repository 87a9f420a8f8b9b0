"""Streams from real ranks into a real Kafka, and what becomes of them when one of the two is not there."""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mpi4py import MPI
from support import dying_program, publishing_program
from support.kafka_logs import follow, following, options, verified
from support.programs import LOCKSTREAM, mpirun, run
from support.publishing_program import FIELDS, values
from support.waiting import wait_until

from lockstream.bridge import Block, Field, StreamSettings, client, open_stream
from lockstream.bridge.errors import LeftInSpool, StreamStopped, UserError
from lockstream.bridge.messages import run_topic
from lockstream.bridge.spool_folder import held_by
from lockstream.bridge.spool_place import spool_place
from lockstream.kafka.archive.archiver import Archiver
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.verify import verify_run
from lockstream.kafka.assembler import Ended, Started, Step, StepAssembler
from lockstream.kafka.broker import BrokerInfo, embedded_broker
from lockstream.kafka.log import offsets_available, read_range, reader

PROGRAM = Path(publishing_program.__file__)
U = Field("u", (6, 5))
BLOCK = {"u": Block(np.ones((6, 5), "f4"), (0, 0))}


def environment(broker: BrokerInfo) -> dict[str, str]:
    return {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def assert_shows_the_program(folder: Path, steps: list[int]) -> None:
    with h5py.File(folder / "run.h5") as file:
        assert file["step"][()].tolist() == steps
        for row, step in enumerate(steps):
            for field in FIELDS:
                assert file[field.name][row].tobytes() == values(field.name, step).tobytes()
            assert file["time"][row] == step / 8
            np.testing.assert_allclose(file["total"][row], values("u", step).sum(), rtol=1e-12)


@pytest.mark.parametrize(("ranks", "partitions"), [(1, 2), (2, 1), (3, 3)])
def test_what_the_ranks_had_is_what_the_archive_shows(
    broker: BrokerInfo, run_id: str, tmp_path: Path, ranks: int, partitions: int
) -> None:
    done = mpirun(
        ranks, sys.executable, "-m", "mpi4py", PROGRAM, run_id, "20", str(partitions), env=environment(broker)
    )
    assert done.returncode == 0, done.stderr
    follow(broker, tmp_path, run_id, segment_bytes=2000)
    result = verified(broker, tmp_path / run_id)
    assert (result.steps, result.status, result.offsets["quarantined"]) == (20, "completed", 0)
    assert_shows_the_program(tmp_path / run_id, list(range(0, 60, 3)))


def test_a_late_joiner_reads_from_step_0(broker: BrokerInfo, run_id: str) -> None:
    with open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker)) as stream:
        for step in range(3):
            stream.publish(step, time=0.0, blocks=BLOCK)
    consumer = reader(options(broker), enable_partition_eof=True)
    try:
        low, high = offsets_available(consumer, run_topic(run_id), 0)
        assembler = StepAssembler(run_id)
        records = read_range(consumer, run_topic(run_id), 0, low, high)
        events = [event for r in records for event in assembler.feed(r.offset, r.headers, r.value)]
    finally:
        consumer.close()
    assert [type(event) for event in events] == [Started, Step, Step, Step, Ended]
    assert [event.manifest.step for event in events if isinstance(event, Step)] == [0, 1, 2]


def test_a_run_that_is_there_already_is_refused(broker: BrokerInfo, run_id: str) -> None:
    open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker)).close()
    with pytest.raises(UserError, match="choose another id"):
        open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker))
    done = mpirun(2, sys.executable, "-m", "mpi4py", PROGRAM, run_id, "1", "1", env=environment(broker))
    assert done.returncode != 0
    assert "choose another id" in done.stderr


def test_a_rank_that_breaks_ends_all_and_what_was_whole_stays(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    done = mpirun(
        2,
        sys.executable,
        "-m",
        "mpi4py",
        PROGRAM,
        run_id,
        "20",
        "1",
        "30",
        env=environment(broker),
        timeout=30,
    )
    assert done.returncode != 0
    assert "the solver broke" in done.stderr
    with following(broker, tmp_path, run_id, segment_seconds=0.05, on_end="links"):
        wait_until(lambda: segment_paths(tmp_path / run_id) and verify_run(tmp_path / run_id).steps)
    result = verified(broker, tmp_path / run_id)
    assert 1 <= result.steps <= 10
    assert_shows_the_program(tmp_path / run_id, list(range(0, 3 * result.steps, 3)))


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both sides say so, with the cure."""
    monkeypatch.setattr(client.first_contact, "__defaults__", (0.5,))
    kafka = {"bootstrap.servers": closed_port()}
    for use in (
        lambda: open_stream(MPI.COMM_SELF, run="a", fields=[U], kafka=kafka),
        lambda: Archiver(kafka, ArchiveSettings(folder=str(tmp_path)), ["a"]),
    ):
        with pytest.raises(UserError, match="lockstream broker start") as refused:
            use()
        assert kafka["bootstrap.servers"] in str(refused.value)


def test_steps_that_kafka_never_took_are_in_the_spool(run_id: str, tmp_path: Path) -> None:
    """And come from there, when it is there again."""
    settings = StreamSettings(close_timeout=0.5, spool=str(tmp_path / "spool"))
    with embedded_broker(tmp_path / "broker") as broker:
        stream = open_stream(MPI.COMM_SELF, run=run_id, fields=[U], kafka=options(broker), settings=settings)
        stream.publish(0, time=0.0, blocks=BLOCK)
        assert stream.sync(20.0)
    for step in (1, 2):
        stream.publish(step, time=0.0, blocks=BLOCK)
    with pytest.raises(LeftInSpool, match=rf"of 3 steps Kafka has acknowledged 1; .*{tmp_path}/spool"):
        stream.close()
    with embedded_broker(tmp_path / "broker") as broker:
        place = tmp_path / "spool" / run_id
        drained = run(LOCKSTREAM, "spool", "drain", place, env=environment(broker))
        assert drained.returncode == 0, drained.stderr
        follow(broker, tmp_path / "archive", run_id)
        result = verified(broker, tmp_path / "archive" / run_id)
        assert (result.steps, result.status) == (3, "completed")


def test_accepted_steps_survive_the_simulation(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    """Which has no Kafka client and no threads of ours, so there is nothing of it to survive."""
    dead = run(sys.executable, dying_program.__file__, run_id, "40", env=environment(broker))
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    has_client, threads, _ = dead.stdout.split()
    assert (has_client, threads) == ("False", "1")
    with following(broker, tmp_path, run_id, segment_seconds=0.05, on_end="links"):
        wait_until(lambda: segment_paths(tmp_path / run_id) and verify_run(tmp_path / run_id).steps == 40)
    assert verified(broker, tmp_path / run_id).status == ""
    with h5py.File(tmp_path / run_id / "run.h5") as file:
        for step in range(40):
            assert (file["u"][step] == dying_program.values(step)).all()
    wait_until(lambda: not publishers_of(run_id))


def publishers_of(run_id: str) -> list[int]:
    """Publishers that serve a run: their spool is locked."""
    return [pid for folder in spools_of(run_id) if (pid := held_by(folder))]


def spools_of(run_id: str) -> list[Path]:
    return [folder for folder in spool_place().glob("*") if folder.name == run_id]


@pytest.mark.parametrize("policy", ["spill", "drop", "stop"])
def test_a_kafka_that_stops_answering(run_id: str, tmp_path: Path, policy: Any) -> None:
    """The buffer fills; what becomes of the next steps is as the policy says."""
    settings = StreamSettings(
        policy=policy, buffer_bytes=5000, max_stall=0.4, spool=str(tmp_path / "spool"), close_timeout=30
    )
    field = Field("u", (16, 16))
    with embedded_broker(tmp_path / "broker") as broker:
        stream = open_stream(
            MPI.COMM_SELF, run=run_id, fields=[field], kafka=options(broker), settings=settings
        )
        published, stopped = 0, False
        try:
            os.kill(broker.pid, signal.SIGSTOP)
            for step in range(20):
                block = Block(np.full(field.shape, step, "f4"), (0, 0))
                stream.publish(step, time=0.0, blocks={"u": block})
                published += 1
        except StreamStopped:
            stopped = True
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        summary = stream.close("stopped" if stopped else "completed")
        assert summary is not None
        assert (stopped, published < 20) == (policy == "stop", policy == "stop")
        assert summary.longest_wait_seconds < settings.max_stall
        assert (summary.spilled > 0, summary.dropped > 0) == (policy != "drop", policy == "drop")
        assert summary.acknowledged + summary.dropped + summary.spooled == summary.accepted == published
        if summary.spooled:
            run(LOCKSTREAM, "spool", "drain", tmp_path / "spool" / run_id, env=environment(broker))
        follow(broker, tmp_path / "archive", run_id)
        result = verified(broker, tmp_path / "archive" / run_id)
        assert (result.steps, len(result.gaps)) == (published - summary.dropped, summary.dropped)
