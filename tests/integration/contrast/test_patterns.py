"""Each pattern brings what is due, in both styles, whoever comes late."""

import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic
from support import pattern_program
from support.programs import mpirun

from lockstream.bridge.client import admin_client
from lockstream.contrast.patterns import in_kafka, in_mpi
from lockstream.kafka.broker import BrokerInfo

PROGRAM = Path(pattern_program.__file__)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("style", ["mpi", "kafka"])
def test_every_pattern_brings_what_is_due(broker: BrokerInfo, run_id: str, style: str, ranks: int) -> None:
    topics = [f"test.{run_id}.{pattern}" for pattern in in_kafka.PATTERNS] if style == "kafka" else []
    make(broker.bootstrap_servers, topics, partitions=ranks)
    program = (sys.executable, "-m", "mpi4py", PROGRAM, style, broker.bootstrap_servers)
    ended = mpirun(ranks, *program, *topics, env={"MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1"})
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stdout + ended.stderr


def make(servers: str, topics: list[str], partitions: int) -> None:
    if topics:
        admin = admin_client({"bootstrap.servers": servers})
        new = [NewTopic(topic, num_partitions=partitions, replication_factor=1) for topic in topics]
        for made in admin.create_topics(new).values():
            made.result(30)


def test_both_styles_have_the_same_patterns() -> None:
    assert list(in_mpi.PATTERNS) == list(in_kafka.PATTERNS)
