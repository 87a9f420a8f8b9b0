"""Records that could not be understood: the archive's ledgers say where they stand and why, Kafka has them."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from lockstream.bridge.client import KafkaOptions
from lockstream.bridge.errors import ConfigurationError
from lockstream.kafka.archive.ledger import Outcome
from lockstream.kafka.archive.view import ledger_of, view_run
from lockstream.kafka.errors import NotAnArchive
from lockstream.kafka.log import Cluster, Record, offsets_available, read_range, reader


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive records with one fault.

    Parameters
    ----------
    run, partition
        Where they stand.
    first, last
        Their offsets.
    reason
        What is wrong with them.
    """

    run: str
    partition: int
    first: int
    last: int
    reason: str


def quarantined(run_folder: Path) -> Iterator[Quarantined]:
    """Yield what the ledgers of a run call quarantined; nothing while nothing is sealed.

    Raises
    ------
    ArchiveDamaged
        If they cannot be read.
    """
    try:
        view = view_run(run_folder)
    except NotAnArchive:
        return
    for entry in ledger_of(view):
        if entry.outcome is Outcome.QUARANTINED:
            yield Quarantined(
                run=view.source.run,
                partition=entry.partition,
                first=entry.first,
                last=entry.stop - 1,
                reason=entry.reason,
            )


def fetch_record(options: KafkaOptions, run: str, partition: int, offset: int) -> Record | None:
    """Read one record of a run's topic again, None where Kafka uses the offset itself.

    Raises
    ------
    ConfigurationError
        If Kafka has no such partition or offset, or does not have it any more.
    NoSuchRun, LogUnavailable
        If it has no such run, or does not answer.
    """
    topic = Cluster(options).topic(run)
    if partition >= topic.partitions:
        raise ConfigurationError("--partition", partition, f"run {run!r} has 0 to {topic.partitions - 1}")
    consumer = reader(options, enable_partition_eof=True)
    try:
        low, high = offsets_available(consumer, topic.name, partition)
        if not low <= offset < high:
            raise ConfigurationError("OFFSET", offset, f"{topic.name}[{partition}] has {low} to {high - 1}")
        return next(read_range(consumer, topic.name, partition, offset, offset + 1), None)
    finally:
        consumer.close()
