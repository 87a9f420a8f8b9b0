"""Logs put into a real Kafka record by record, and archived from there in this process."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread, Timer
from typing import Any

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from lockstream.bridge.messages import run_topic
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, create_topic, run_topic_settings
from lockstream.kafka.archive.against_kafka import compare_with_kafka
from lockstream.kafka.archive.archiver import Archiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.verify import Verified, verify_run
from lockstream.kafka.broker import BrokerInfo
from support.runs import Log
from support.waiting import wait_until


def options(broker: BrokerInfo) -> dict[str, Any]:
    return {"bootstrap.servers": broker.bootstrap_servers}


def make_topic(broker: BrokerInfo, run: str, partitions: int = 1) -> None:
    create_topic(
        AdminClient(options(broker)),
        run_topic(run),
        partitions=partitions,
        replication=1,
        settings=run_topic_settings(-1),
    )


def produce(broker: BrokerInfo, run: str, logs: Sequence[Log]) -> None:
    """Append to the partitions of a run's topic."""
    in_order = {"max.in.flight.requests.per.connection": 1, "linger.ms": 1}  # sooner ready than idempotence
    producer = Producer(options(broker) | in_order | {"message.max.bytes": MAX_MESSAGE_BYTES})
    failed: list[object] = []

    def report(error: object, _message: object) -> None:
        failed.extend(filter(None, [error]))

    for partition, log in enumerate(logs):
        for headers, value in log:
            producer.produce(run_topic(run), value, partition=partition, headers=headers, on_delivery=report)
    assert producer.flush(20) == 0
    assert failed == []


def stored(broker: BrokerInfo, run: str, logs: Sequence[Log]) -> None:
    """Make a run's topic and fill it."""
    make_topic(broker, run, len(logs))
    produce(broker, run, logs)


def delete_topic(broker: BrokerInfo, run: str) -> None:
    """Delete a run's topic and wait until it is gone."""
    admin, topic = AdminClient(options(broker)), run_topic(run)
    admin.delete_topics([topic])[topic].result(20)
    wait_until(lambda: topic not in admin.list_topics(timeout=10).topics)


def delete_before(broker: BrokerInfo, run: str, offset: int) -> None:
    """Delete the records of partition 0 before an offset, as retention does."""
    admin, kept = AdminClient(options(broker)), TopicPartition(run_topic(run), 0, offset)
    admin.delete_records([kept])[kept].result(20)


def follow(broker: BrokerInfo, folder: Path, *runs: str, **settings: Any) -> None:
    """Archive runs that end; one that does not come to it is an error, with how far it came."""
    archiver = Archiver(options(broker), ArchiveSettings(folder=str(folder), **settings), runs)
    stop = Flag()
    limit = Timer(60, stop.set)
    limit.start()
    try:
        is_complete = archiver.follow(stop)
    finally:
        limit.cancel()
    reached = {name: (run.next_offsets, run.status) for name, run in archiver._active.items()}
    assert is_complete, (reached, archiver._read_to_end)


@contextmanager
def following(broker: BrokerInfo, folder: Path, *runs: str, **settings: Any) -> Iterator[None]:
    """Archive in the background until the block ends; what goes wrong there is raised then."""
    stop = Flag()
    archiver = Archiver(options(broker), ArchiveSettings(folder=str(folder), **settings), runs)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            archiver.follow(stop)
        except BaseException as error:  # raised below
            failed.append(error)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
    if failed:
        raise failed[0]


def verified(broker: BrokerInfo, folder: Path) -> Verified:
    """The archive of a run, which must be sound by itself and against Kafka."""
    result = verify_run(folder)
    assert result.faults == ()
    assert compare_with_kafka(folder, options(broker)) == []
    return result
