"""compose.yaml as it stands: one node, used by programs of this machine."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.docker.engine import Engine
from deploy.docker.settings import SINGLE
from deploy.docker.stack import Stack, stack

SMALL = ("domain.shape=[64, 64]", "run.steps=400", "stream.every=40")
STEPS = 11
ASK_TWICE = """
import sys
from confluent_kafka.admin import AdminClient
admin = AdminClient({"bootstrap.servers": sys.argv[1], "allow.auto.create.topics": "true"})
for _ in range(2):
    topics = admin.list_topics("misspelt", timeout=20).topics
print(topics["misspelt"].error.name() if topics["misspelt"].error else "made")
"""


@pytest.fixture(scope="module")
def single(engine: Engine) -> Iterator[Stack]:
    with stack(engine, SINGLE) as started:
        started.up()
        yield started


def test_a_run_is_archived_and_the_log_outlives_the_containers(
    single: Stack, run_id: str, tmp_path: Path
) -> None:
    ended = single.simulate(run_id, *SMALL)
    assert ended.returncode == 0, ended.stderr
    single.archived(run_id, tmp_path / "first")
    assert [run["steps"] for run in single.verified(tmp_path / "first")] == [STEPS]

    single.compose("down")
    assert single.running("kafka") == []
    single.up()
    single.archived(run_id, tmp_path / "second")
    same = single.lockstream("archive", "diff", tmp_path / "first" / run_id, tmp_path / "second" / run_id)
    assert same.returncode == 0, same.stdout


def test_a_topic_is_not_made_by_a_misspelt_name(single: Stack) -> None:
    asked = single.engine.host(sys.executable, "-c", ASK_TWICE, single.servers)
    assert asked.stdout.strip() == "UNKNOWN_TOPIC_OR_PART", asked.stderr
