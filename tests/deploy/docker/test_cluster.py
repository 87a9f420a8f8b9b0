"""compose.yaml with cluster.yaml: three nodes, of which one is killed in the middle of a run."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from deploy.docker.engine import Engine
from deploy.docker.settings import CLUSTER
from deploy.docker.stack import Stack, stack
from support.waiting import wait_until

from lockstream.bridge.messages import run_topic

NODES = {1: "kafka", 2: "kafka-2", 3: "kafka-3"}
LONG = ("domain.shape=[128, 128]", "run.steps=60000", "stream.every=100", "model.dt=1.0")
STEPS = 601
DESCRIBE = """
import json, sys
from confluent_kafka.admin import AdminClient
topic = AdminClient({"bootstrap.servers": sys.argv[1]}).list_topics(sys.argv[2], timeout=20).topics[sys.argv[2]]
print(json.dumps([[p.leader, sorted(p.replicas), sorted(p.isrs)] for p in topic.partitions.values()]))
"""
COUNT = """
import sys
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "look"})
print(consumer.get_watermark_offsets(TopicPartition(sys.argv[2], 0), timeout=20)[1])
consumer.close()
"""


class Partition(NamedTuple):
    """Nodes of the run's one partition; a leader of -1 is none."""

    leader: int
    replicas: list[int]
    in_sync: list[int]


@pytest.fixture(scope="module")
def cluster(engine: Engine) -> Iterator[Stack]:
    with stack(engine, CLUSTER, KAFKA_HEAP="256m", KAFKA_MEMORY="768m") as started:
        started.up()
        yield started


def ask(cluster: Stack, question: str, run_id: str) -> str:
    """Put a question about a run's topic to any of the nodes."""
    servers = ",".join(f"127.0.0.1:{cluster.env[f'KAFKA_PORT{suffix}']}" for suffix in ("", "_2", "_3"))
    return cluster.engine.host(sys.executable, "-c", question, servers, run_topic(run_id)).stdout


def partition(cluster: Stack, run_id: str) -> Partition:
    """The run's partition, which must be there."""
    return Partition(*json.loads(ask(cluster, DESCRIBE, run_id))[0])


def test_the_leader_is_killed_in_mid_run_and_nothing_is_lost(
    cluster: Stack, run_id: str, tmp_path: Path
) -> None:
    with ThreadPoolExecutor() as pool:
        simulation = pool.submit(cluster.simulate, run_id, *LONG)

        def has_begun() -> bool:
            return simulation.done() or int(ask(cluster, COUNT, run_id) or 0) > STEPS // 10

        wait_until(has_begun, limit=90)
        assert not simulation.done(), simulation.result().stderr
        before = partition(cluster, run_id)
        assert before.replicas == sorted(NODES)
        cluster.compose("kill", "--signal", "SIGKILL", NODES[before.leader])
        wait_until(lambda: partition(cluster, run_id).leader not in (before.leader, -1), limit=60)
        assert not simulation.done(), "the run ended before the leader was missed"
        cluster.compose("start", NODES[before.leader])
        ended = simulation.result()
    assert ended.returncode == 0, ended.stderr
    wait_until(lambda: partition(cluster, run_id).in_sync == sorted(NODES), limit=60)
    cluster.archived(run_id, tmp_path)
    assert [run["steps"] for run in cluster.verified(tmp_path)] == [STEPS]
