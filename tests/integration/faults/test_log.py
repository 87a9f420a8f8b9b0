"""The log under the archiver changes: it notices, says so, keeps what it has and goes on where that is possible."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from support.archiver_program import TINY_FETCHES, archiver, end_of, follow_to_end
from support.kafka_logs import options, produce, stored, verified
from support.runs import FakeRun
from support.waiting import wait_until

from lockstream.bridge.messages import Field, run_topic
from lockstream.kafka import broker as embedded
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.verify import verify_run
from lockstream.kafka.broker import BrokerInfo, embedded_broker

SETS = ("archive.segment_seconds=0.1",)
STEPS = 8


@pytest.fixture
def source(run_id: str) -> FakeRun:
    """A run with steps of 64 KiB in tiles of 4 KiB, each of which is a fetch of its own for who fetches little."""
    return FakeRun(run=run_id, fields=(Field("u", (64, 256)),), tile_bytes=4096)


def half_of(source: FakeRun) -> int:
    return 1 + (STEPS // 2) * (len(source.tiles(0)) + 1)


def wait_for_half(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the first half of the steps is sealed."""

    def is_sealed() -> bool:
        assert process.poll() is None, process.communicate()
        return bool(segment_paths(folder)) and verify_run(folder).steps >= STEPS // 2

    wait_until(is_sealed)


def unsealed_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("segments/*.tmp"))


def set_policy(broker: BrokerInfo, run: str, policy: str) -> None:
    entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, run_topic(run), incremental_configs=[entry])
    admin = AdminClient(options(broker))
    admin.incremental_alter_configs([resource])[resource].result(20)


def delete_topic(broker: BrokerInfo, run: str) -> None:
    admin, topic = AdminClient(options(broker)), run_topic(run)
    admin.delete_topics([topic])[topic].result(20)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics)


def assert_refused(ended: tuple[int, str], *said: str) -> None:
    code, err = ended
    assert (code, err.count("\n")) == (2, 1), err
    for words in said:
        assert words in err


def test_a_compacted_topic_is_refused_until_that_is_undone(
    broker: BrokerInfo, source: FakeRun, tmp_path: Path
) -> None:
    stored(broker, source.run, source.logs(range(STEPS)))
    set_policy(broker, source.run, "compact,delete")
    refused = follow_to_end(broker, tmp_path, source.run)
    assert_refused((refused.returncode, refused.stderr), "cleanup.policy=compact,delete", "set it to delete")
    set_policy(broker, source.run, "delete")
    assert follow_to_end(broker, tmp_path, source.run).returncode == 0
    assert verified(broker, tmp_path / source.run).steps == STEPS


def test_compaction_that_is_switched_on_in_mid_run_is_noticed(
    broker: BrokerInfo, source: FakeRun, tmp_path: Path
) -> None:
    (log,) = source.logs(range(STEPS))
    stored(broker, source.run, [log[: half_of(source)]])
    with archiver(broker, tmp_path, source.run, sets=SETS) as process:
        wait_for_half(process, tmp_path / source.run)
        set_policy(broker, source.run, "compact")
        assert_refused(end_of(process), "cleanup.policy=compact")
    set_policy(broker, source.run, "delete")
    produce(broker, source.run, [log[half_of(source) :]])
    assert follow_to_end(broker, tmp_path, source.run).returncode == 0
    assert verified(broker, tmp_path / source.run).steps == STEPS


def test_a_topic_that_is_deleted_in_mid_run(broker: BrokerInfo, source: FakeRun, tmp_path: Path) -> None:
    """What had come is sealed, though it was not due: Kafka has it no more."""
    (log,) = source.logs(range(STEPS), None)
    stored(broker, source.run, [log])
    with archiver(broker, tmp_path, source.run) as process:
        wait_until(lambda: unsealed_bytes(tmp_path / source.run) >= STEPS * source.started.step_bytes)
        delete_topic(broker, source.run)
        assert_refused(end_of(process), run_topic(source.run), "deleted")
    result = verify_run(tmp_path / source.run)
    assert (result.steps, result.faults) == (STEPS, ())


def test_a_topic_that_is_made_again_while_the_archiver_sleeps(
    broker: BrokerInfo, source: FakeRun, tmp_path: Path
) -> None:
    """The new log is longer, so that the next offset is there: nothing of it may get into the archive."""
    (log,) = source.logs(range(STEPS), None)
    stored(broker, source.run, [log[: half_of(source)]])
    with archiver(broker, tmp_path, source.run, sets=SETS) as process:
        wait_for_half(process, tmp_path / source.run)
        process.send_signal(signal.SIGSTOP)
        delete_topic(broker, source.run)
        stored(broker, source.run, [log])
        process.send_signal(signal.SIGCONT)
        assert_refused(end_of(process), run_topic(source.run), "another folder")
    result = verify_run(tmp_path / source.run)
    assert (result.steps, result.faults) == (STEPS // 2, ())


def test_records_that_retention_ate_while_the_archiver_slept_are_named(
    broker: BrokerInfo, source: FakeRun, tmp_path: Path
) -> None:
    (log,) = source.logs(range(STEPS))
    half = half_of(source)
    stored(broker, source.run, [log[:half]])
    with archiver(broker, tmp_path, source.run, sets=(*SETS, *TINY_FETCHES)) as process:
        wait_for_half(process, tmp_path / source.run)
        process.send_signal(signal.SIGSTOP)
        produce(broker, source.run, [log[half : half + 1]])  # a fetch that was under way brings this one home
        produce(broker, source.run, [log[half + 1 :]])
        eaten = TopicPartition(run_topic(source.run), 0, len(log) - 2)
        admin = AdminClient(options(broker))
        admin.delete_records([eaten])[eaten].result(20)
        process.send_signal(signal.SIGCONT)
        assert_refused(end_of(process), f"..{len(log) - 3} were deleted before they were archived")
    result = verify_run(tmp_path / source.run)
    assert (result.steps, result.faults) == (STEPS // 2, ())


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerInfo]:
    """Another cluster, which may be killed."""
    with embedded_broker(tmp_path_factory.mktemp("other")) as info:
        yield info


def test_the_same_run_in_another_cluster_is_refused(
    broker: BrokerInfo, other: BrokerInfo, source: FakeRun, tmp_path: Path
) -> None:
    logs = source.logs(range(STEPS), "stopped")
    stored(broker, source.run, logs)
    stored(other, source.run, logs)
    assert follow_to_end(broker, tmp_path, source.run).returncode == 0
    refused = follow_to_end(other, tmp_path, source.run)
    said = (broker.cluster_id, other.cluster_id, "another folder")
    assert_refused((refused.returncode, refused.stderr), *said)
    assert verified(broker, tmp_path / source.run).steps == STEPS


def test_a_broker_that_is_killed_and_started_again(
    other: BrokerInfo, source: FakeRun, tmp_path: Path
) -> None:
    (log,) = source.logs(range(STEPS))
    stored(other, source.run, [log[: half_of(source)]])
    with archiver(other, tmp_path, source.run, sets=SETS) as process:
        wait_for_half(process, tmp_path / source.run)
        os.kill(other.pid, signal.SIGKILL)
        wait_until(lambda: embedded.status(other.directory).info is None)
        again = embedded.start(other.directory)
        try:
            produce(again, source.run, [log[half_of(source) :]])
            assert end_of(process) == (0, "")
            assert verified(again, tmp_path / source.run).steps == STEPS
        finally:
            embedded.stop(other.directory)
