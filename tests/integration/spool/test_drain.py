"""A spooled run brought into a real Kafka by the command, and archived from there with everything once."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from support.kafka_logs import follow, options, stored, verified
from support.programs import LOCKSTREAM, run
from support.runs import TWO_FIELDS, FakeRun
from support.spools import ROOM, about, items_of, spool_run
from support.waiting import wait_until

from lockstream.bridge.messages import Field, run_topic
from lockstream.bridge.spool import Spool
from lockstream.bridge.spool_folder import segment_paths
from lockstream.bridge.spool_format import DATA_OFFSET
from lockstream.kafka.broker import BrokerInfo

STEPS = 40


def command(broker: BrokerInfo, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    return run(LOCKSTREAM, "spool", *words, env=environment)


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_whole_run(broker: BrokerInfo, run_id: str, tmp_path: Path, partitions: int) -> None:
    source = FakeRun(run=run_id, fields=TWO_FIELDS, partitions=partitions)
    items = spool_run(tmp_path / "spool" / run_id, source, range(STEPS), roll_bytes=1 << 14)
    assert len(segment_paths(tmp_path / "spool" / run_id)) > 1

    status = command(broker, "status", tmp_path / "spool", "--json")
    said: list[dict[str, Any]] = json.loads(status.stdout)
    assert [(each["run"], each["items"], each["held_by"]) for each in said] == [(run_id, items, "")]
    assert (said[0]["first_seq"], said[0]["last_seq"]) == (0, items - 1)
    sound = command(broker, "verify", tmp_path / "spool" / run_id)
    assert (sound.returncode, "all sound" in sound.stdout) == (0, True), sound.stdout + sound.stderr

    drained = command(broker, "drain", "--run", run_id, "--set", f"stream.spool={tmp_path / 'spool'}")
    assert drained.returncode == 0, drained.stderr
    assert f"{run_id}: {items} items" in drained.stdout
    assert drained.stdout.endswith("; 0 left\n")
    assert segment_paths(tmp_path / "spool" / run_id) == []
    follow(broker, tmp_path / "archive", run_id)
    result = verified(broker, tmp_path / "archive" / run_id)
    assert (result.steps, result.offsets.get("duplicate", 0)) == (STEPS, 0)

    again = command(broker, "drain", tmp_path / "spool")
    assert (again.returncode, again.stdout.count(" 0 items")) == (0, 1), again.stderr


def test_the_rest_of_a_run_goes_behind_what_is_in_kafka(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    source = FakeRun(run=run_id)
    stored(broker, run_id, source.logs(range(10), None))
    rest = items_of(source, range(STEPS))[11:]
    with Spool(tmp_path / run_id, ROOM, about(run_id)) as spool:
        for seq, records in enumerate(rest, start=11):
            spool.append(seq, records)
    drained = command(broker, "drain", tmp_path)
    assert drained.returncode == 0, drained.stderr
    follow(broker, tmp_path / "archive", run_id)
    assert verified(broker, tmp_path / "archive" / run_id).steps == STEPS


def test_a_drain_that_is_killed_goes_on_where_it_was(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    source = FakeRun(run=run_id, fields=(Field("u", (128, 128)),), tile_bytes=1 << 15)
    folder = tmp_path / "spool" / run_id
    items = spool_run(folder, source, range(400), roll_bytes=DATA_OFFSET + 1)
    with subprocess.Popen(
        [LOCKSTREAM, "spool", "drain", str(folder)],
        env=os.environ | {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers},
        stdout=subprocess.DEVNULL,
    ) as killed:
        try:
            wait_until(lambda: len(segment_paths(folder)) < items - 5)
        finally:
            killed.send_signal(signal.SIGKILL)
    left = len(segment_paths(folder))
    assert left > 0
    drained = command(broker, "drain", folder)
    assert drained.returncode == 0, drained.stderr
    assert f"{run_id}: {left} items" in drained.stdout
    follow(broker, tmp_path / "archive", run_id)
    assert verified(broker, tmp_path / "archive" / run_id).steps == 400


def test_a_spool_in_use_is_left_alone(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    spool_run(tmp_path / run_id, FakeRun(run=run_id), range(3))
    with Spool(tmp_path / run_id, ROOM):
        refused = command(broker, "drain", tmp_path)
        assert (refused.returncode, f"pid {os.getpid()}" in refused.stderr) == (2, True), refused.stderr
        status = command(broker, "status", tmp_path)
        assert f"pid {os.getpid()} on " in status.stdout, status.stdout + status.stderr
        assert command(broker, "verify", tmp_path).returncode == 0
    assert run_topic(run_id) not in AdminClient(options(broker)).list_topics(timeout=10).topics


def test_a_spool_without_the_beginning_makes_no_topic(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    with Spool(tmp_path / run_id, ROOM, about(run_id)) as spool:
        spool.append(5, items_of(FakeRun(run=run_id), range(3))[1])
    refused = command(broker, "drain", tmp_path)
    assert refused.returncode == 2
    assert "does not hold the beginning" in refused.stderr
    assert run_topic(run_id) not in AdminClient(options(broker)).list_topics(timeout=10).topics


def test_damage_is_named_and_nothing_wrong_is_delivered(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    spool_run(tmp_path / run_id, FakeRun(run=run_id), range(5))
    path = segment_paths(tmp_path / run_id)[0]
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    faulty = command(broker, "verify", tmp_path)
    assert (faulty.returncode, path.name in faulty.stdout) == (3, True), faulty.stderr
    drained = command(broker, "drain", tmp_path)
    assert (drained.returncode, path.name in drained.stderr) == (3, True), drained.stderr
    assert path.read_bytes() == raw


def test_kafka_stays_away(tmp_path: Path, run_id: str) -> None:
    items = spool_run(tmp_path / run_id, FakeRun(run=run_id), range(2))
    nobody = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    failed = run(LOCKSTREAM, "spool", "drain", tmp_path, "--timeout", "1", env=nobody)
    assert failed.returncode == 1, failed.stderr
    assert "nothing was delivered" in failed.stderr
    with Spool(tmp_path / run_id, ROOM) as spool:
        assert spool.items == items


def test_a_record_that_is_not_of_the_run_is_a_fault(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    with Spool(tmp_path / run_id, ROOM, about(run_id)) as spool:
        spool.append(0, items_of(FakeRun(run="another"), [])[0])
        spool.append(1, [(0, [("x", b"y")], b"junk")])
    faulty = command(broker, "verify", tmp_path, "--json")
    assert faulty.returncode == 3
    faults = json.loads(faulty.stdout)[0]["faults"]
    assert ["'another'" in faults[0], "does not decode" in faults[1]] == [True, True], faults


def test_no_spool_there(tmp_path: Path, broker: BrokerInfo) -> None:
    for word in ("status", "verify", "drain"):
        ended = command(broker, word, tmp_path)
        assert (ended.returncode, "no run's spool is there" in ended.stderr) == (2, True), ended.stderr
