"""Three embedded brokers as a cluster: one is lost in mid-run, once with its disk, and nothing of the run is."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, PartitionMetadata  # type: ignore[attr-defined]
from support.programs import LOCKSTREAM, mpirun, run
from support.waiting import wait_until

from lockstream.bridge.messages import run_topic
from lockstream.kafka.broker import Cluster, embedded_cluster

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

STEPS = 3001
RUN = """
[run]
model = "gray-scott"
steps = 300000
[domain]
shape = [32, 32]
spacing = [0.01, 0.01]
[stream]
every = 100
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with embedded_cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


def partition(cluster: Cluster, run_id: str) -> PartitionMetadata:
    """The run's one partition: its leader (-1: none), its replicas, and those in sync."""
    topic = run_topic(run_id)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    return admin.list_topics(topic, timeout=20).topics[topic].partitions[0]


def records(cluster: Cluster, run_id: str) -> int:
    """How many records the run has; 0 as long as there is no topic."""
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "look"})
    try:
        if run_topic(run_id) not in consumer.list_topics(timeout=20).topics:
            return 0
        return int(consumer.get_watermark_offsets(TopicPartition(run_topic(run_id), 0), timeout=20)[1])
    finally:
        consumer.close()


def lose_the_process(cluster: Cluster, number: int) -> None:
    cluster.kill(number)


def lose_the_disk(cluster: Cluster, number: int) -> None:
    cluster.kill(number)
    shutil.rmtree(cluster.directory / f"node-{number}")


@pytest.mark.parametrize("lose", [lose_the_process, lose_the_disk], ids=["the process", "the disk"])
def test_the_leader_is_lost_in_mid_run_and_nothing_else(
    cluster: Cluster, lose: Callable[[Cluster, int], None], run_id: str, tmp_path: Path
) -> None:
    told = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers}
    (tmp_path / "run.toml").write_text(RUN)
    words = ("simulate", tmp_path / "run.toml", "--set", f"run.id={run_id}")
    with ThreadPoolExecutor() as pool:
        simulation = pool.submit(mpirun, 1, LOCKSTREAM, *words, env=told, timeout=300)
        wait_until(lambda: simulation.done() or records(cluster, run_id) > STEPS // 20, 120, pause=0.2)
        assert not simulation.done(), simulation.result().stderr
        before = partition(cluster, run_id)
        assert sorted(before.replicas) == [1, 2, 3]
        lose(cluster, before.leader)
        wait_until(lambda: partition(cluster, run_id).leader not in (before.leader, -1), 120, pause=0.2)
        assert not simulation.done(), "the run ended before the leader was missed"
        cluster.start(before.leader)
        ended = simulation.result()
    assert ended.returncode == 0, ended.stderr
    wait_until(lambda: sorted(partition(cluster, run_id).isrs) == [1, 2, 3], 120, pause=0.2)
    archived = tmp_path / "archive"
    follow = ("archive", "follow", "--run", run_id, "--archive", archived, "--until", "completed")
    done = run(LOCKSTREAM, *follow, env=told, timeout=120)
    assert done.returncode == 0, done.stderr
    verify = ("archive", "verify", archived / run_id, "--against-kafka", "--json")
    done = run(LOCKSTREAM, *verify, env=told, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [found["steps"] for found in json.loads(done.stdout)] == [STEPS]
