"""The doctor against a real broker and a real launcher."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from support.programs import LOCKSTREAM, MPIRUN, run

from lockstream.bridge.messages import run_topic
from lockstream.kafka.broker import BrokerInfo


@pytest.fixture
def findings(broker: BrokerInfo, tmp_path: Path) -> Callable[..., tuple[int, list[dict[str, str]]]]:
    """The exit code and the findings of ``lockstream doctor`` with more arguments."""

    def look(*arguments: str, servers: str = broker.bootstrap_servers) -> tuple[int, list[dict[str, str]]]:
        env = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": servers}
        done = run(LOCKSTREAM, "doctor", "--json", *arguments, env=env, cwd=tmp_path)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    return look


def test_a_broker_that_is_well_and_leaves_no_trace(
    findings: Callable[..., tuple[int, list[dict[str, str]]]], broker: BrokerInfo
) -> None:
    code, found = findings("--only", "kafka", "--probe")
    states = {finding["what"]: finding["state"] for finding in found}
    assert code == 0, found
    assert set(states.values()) == {"ok"}, found
    assert states.keys() >= {"making a run's topic", "sending a record", "clocks", "replication", "KRaft"}
    (release,) = [finding["found"] for finding in found if finding["what"].startswith("release of")]
    assert release.startswith(f"Kafka {broker.kafka_version.rpartition('.')[0]} ")
    left = AdminClient({"bootstrap.servers": broker.bootstrap_servers}).list_topics(timeout=10).topics
    assert not [topic for topic in left if "doctor-" in topic]


def test_a_topic_that_would_eat_steps(
    findings: Callable[..., tuple[int, list[dict[str, str]]]], broker: BrokerInfo, run_id: str
) -> None:
    admin, topic = AdminClient({"bootstrap.servers": broker.bootstrap_servers}), run_topic(run_id)
    new = NewTopic(topic, num_partitions=1, replication_factor=1, config={"cleanup.policy": "compact"})
    admin.create_topics([new])[topic].result(20)
    code, found = findings("--only", "kafka", "--set", f"run.id={run_id}")
    (bad,) = [finding for finding in found if finding["state"] == "FAULT"]
    assert code == 3
    assert bad["what"] == f"topic {topic}: settings"
    assert "cleanup.policy = compact" in bad["found"]
    assert "--add-config cleanup.policy=delete" in bad["cure"]
    assert f"topic {topic}" in {finding["what"] for finding in found if finding["state"] == "ok"}


def test_too_few_brokers_for_the_replication_that_is_asked_for(
    findings: Callable[..., tuple[int, list[dict[str, str]]]],
) -> None:
    code, found = findings("--only", "kafka", "--set", "stream.replication=3")
    bad = {finding["what"]: finding["cure"] for finding in found if finding["state"] == "FAULT"}
    assert code == 3
    assert bad.keys() == {"replication", "making a run's topic"}
    assert "at most 1" in bad["replication"]


def test_nobody_there(findings: Callable[..., tuple[int, list[dict[str, str]]]]) -> None:
    code, found = findings("--only", "kafka", servers="127.0.0.1:1")
    assert code == 3
    assert [finding["state"] for finding in found] == ["FAULT"]
    assert "lockstream broker start" in found[0]["cure"]


def test_the_other_places_as_a_person_sees_them(tmp_path: Path) -> None:
    places = [
        "--only",
        "mpi",
        "--only",
        "disks",
        "--mpirun",
        MPIRUN,
        "--set",
        "stream.spool_bytes=1000000000",
    ]
    done = run(LOCKSTREAM, "doctor", *places, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "two ranks" in done.stdout
    for what in ("archive", "spool", "checkpoints"):
        assert f"{what} /" in done.stdout


def test_a_mistake_in_the_configuration_is_one_sentence(tmp_path: Path) -> None:
    done = run(LOCKSTREAM, "doctor", "--set", "stream.partitions=0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lockstream: stream.partitions = 0: must be at least 1\n"
