"""Kafka is away for longer than anybody waits for an answer: the archiver is there when it comes back."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.archiver_program import archiver, end_of, follow_to_end
from support.kafka_logs import produce, stored, verified
from support.runs import FakeRun
from support.waiting import wait_until

from lockstream.bridge.messages import Field
from lockstream.kafka import broker as embedded
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.recovery import merged_file
from lockstream.kafka.broker import BrokerInfo, embedded_broker
from lockstream.kafka.log import ANSWER_SECONDS

pytestmark = [pytest.mark.drill, pytest.mark.timeout(300)]


HALF = 1 + 4 * 17  # records: run-started, and four steps of 16 tiles and a manifest


@pytest.fixture
def source(run_id: str) -> FakeRun:
    return FakeRun(run=run_id, fields=(Field("u", (64, 256)),), tile_bytes=4096)


@contextmanager
def archiver_without_kafka(
    source: FakeRun, broker: BrokerInfo, archive: Path, *names: str
) -> Iterator[subprocess.Popen[str]]:
    """An archiver that has begun, and whose broker was killed then."""
    (log,) = source.logs(range(8))
    stored(broker, source.run, [log[:HALF]])
    with archiver(broker, archive, *names, sets=("archive.segment_seconds=0.1",)) as process:
        wait_until(lambda: segment_paths(archive / source.run))
        os.kill(broker.pid, signal.SIGKILL)
        wait_until(lambda: embedded.status(broker.directory).info is None)
        yield process


@contextmanager
def kafka_again(killed: BrokerInfo) -> Iterator[BrokerInfo]:
    """The broker that was killed, started anew, and stopped in the end."""
    broker = embedded.start(killed.directory)
    try:
        yield broker
    finally:
        embedded.stop(killed.directory)


@pytest.mark.parametrize("is_named", [True, False])
def test_an_archiver_outlasts_it(source: FakeRun, tmp_path: Path, is_named: bool) -> None:
    """Whether it follows a run, or all runs and asks for new ones every second."""
    names, archive = (source.run,) if is_named else (), tmp_path / "archive"
    with (
        embedded_broker(tmp_path / "broker") as broker,
        archiver_without_kafka(source, broker, archive, *names) as process,
    ):
        time.sleep(1.5 * ANSWER_SECONDS)  # the fault itself
        assert process.poll() is None
        with kafka_again(broker) as again:
            produce(again, source.run, [source.logs(range(8))[0][HALF:]])
            wait_until(lambda: merged_file(archive / source.run) is not None, 60)
            process.send_signal(signal.SIGTERM)
            code, said = end_of(process)
            assert (code, "Timed out" in said) == (0, True)
            assert verified(again, archive / source.run).steps == 8


def test_an_archiver_can_be_stopped_meanwhile(source: FakeRun, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with embedded_broker(tmp_path / "broker") as broker:
        with archiver_without_kafka(source, broker, archive, source.run) as process:
            process.send_signal(signal.SIGTERM)
            assert end_of(process)[0] == 75
        with kafka_again(broker) as again:
            produce(again, source.run, [source.logs(range(8))[0][HALF:]])
            assert follow_to_end(again, archive, source.run).returncode == 0
            assert verified(again, archive / source.run).steps == 8
