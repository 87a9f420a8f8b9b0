"""Reading Kafka's log: which runs there are, what their topics are, and records by offset.

Readers place themselves (`assign`), so that nobody can evict them and no committed offset decides what is
read; an offset that the log no longer has is an error, never a silent jump.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from lockstream.bridge.client import (
    KafkaOptions,
    admin_client,
    client_config,
    first_contact,
    servers_of,
    with_options,
)
from lockstream.bridge.errors import LockstreamError
from lockstream.bridge.messages import TOPIC_PREFIX, is_run_id, run_topic
from lockstream.bridge.topics import MAX_MESSAGE_BYTES
from lockstream.kafka.assembler import Headers
from lockstream.kafka.errors import ArchiveRefused, NoSuchRun

ANSWER_SECONDS = 10.0
QUIET_SECONDS = 30.0


_QUICK = {  # the user's options come after these
    "fetch.queue.backoff.ms": 5,  # the default lets a sink slower than the broker starve for a second
    "fetch.error.backoff.ms": 100,
    "fetch.wait.max.ms": 100,  # at its end a partition says so that much later
    "max.partition.fetch.bytes": 8 * MAX_MESSAGE_BYTES,  # fewer round trips; a fetch has whole tiles anyway
}


class LogUnavailable(LockstreamError, ConnectionError):
    """Kafka stopped answering, or says that something cannot be read."""


class Topic(msgspec.Struct, frozen=True):
    """A run's topic as the cluster describes it.

    Parameters
    ----------
    run, name
        The run, and the topic that carries it.
    topic_id, cluster_id
        Kafka's own ids: a recreated topic has another one.
    partitions
        How many.
    """

    run: str
    name: str
    topic_id: str
    cluster_id: str
    partitions: int


def reader(options: KafkaOptions, group: str = "lockstream-reader", **ours: Any) -> Consumer:
    """Make a consumer that is placed by `assign` and never moves by itself.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    group
        Under which committed offsets are shown; they decide nothing.
    ours
        Further options, with underscores for dots.
    """
    config = client_config(
        options,
        group_id=group,
        enable_auto_commit=False,
        enable_auto_offset_store=False,
        auto_offset_reset="error",
        check_crcs=True,
        **ours,
    )
    consumer: Consumer = with_options(Consumer, {**_QUICK, **config})
    return consumer


class Record(NamedTuple):
    """One record as Kafka delivered it."""

    topic: str
    partition: int
    offset: int
    headers: Headers
    value: bytes | None


class Cluster:
    """What the cluster says about itself and its topics.

    Raises
    ------
    BrokerUnreachable
        If nobody answers.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self._admin: AdminClient = admin_client(options)
        self._id = first_contact(self._admin, servers_of(options)).cluster_id or ""

    def runs(self) -> list[str]:
        """Ids of all runs that have a topic."""
        return [
            run
            for name in self._topics()
            if is_run_id(run := name.removeprefix(TOPIC_PREFIX)) and run != name
        ]

    def topic(self, run: str) -> Topic:
        """Describe a run's topic.

        Raises
        ------
        NoSuchRun
            If there is none.
        ArchiveRefused
            If it is compacted: Kafka then removes records as it likes.
        """
        name = run_topic(run)
        if name not in self._topics():
            raise NoSuchRun(
                f"run {run!r}: Kafka has no topic {name!r}; runs there: {', '.join(self.runs()) or 'none'}"
            )
        return self._described(name)

    def confirm(self, topic: Topic) -> None:
        """Make sure that a topic still is the log that it was; what was read of it before came from that log.

        Raises
        ------
        NoSuchRun
            If it was deleted.
        ArchiveRefused
            If it was deleted and made again, or is compacted by now.
        """
        if (found := self._described(topic.name)) != topic:
            raise ArchiveRefused(
                f"topic {topic.name!r} had id {topic.topic_id} with {topic.partitions} partitions, now it has id "
                f"{found.topic_id} with {found.partitions}: it was changed, or deleted and made again, meanwhile; "
                "archive it into another folder"
            )

    def _described(self, name: str) -> Topic:
        resource = ConfigResource(ResourceType.TOPIC, name)
        try:
            futures = self._admin.describe_topics(TopicCollection([name]), request_timeout=ANSWER_SECONDS)
            configs = self._admin.describe_configs([resource], request_timeout=ANSWER_SECONDS)
            described = futures[name].result()
            policy = configs[resource].result()["cleanup.policy"].value
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise NoSuchRun(f"topic {name!r} is not in Kafka any more: it was deleted") from None
            raise LogUnavailable(f"topic {name!r} cannot be described: {error.args[0].str()}") from None
        if "compact" in policy:
            raise ArchiveRefused(
                f"topic {name!r} has cleanup.policy={policy}: compaction removes records; "
                f"set it to delete (kafka-configs --alter --topic {name} --add-config cleanup.policy=delete)"
            )
        run = name.removeprefix(TOPIC_PREFIX)
        return Topic(run, name, str(described.topic_id), self._id, len(described.partitions))

    def _topics(self) -> list[str]:
        try:
            return list(self._admin.list_topics(timeout=ANSWER_SECONDS).topics)
        except KafkaException as error:
            raise LogUnavailable(f"Kafka does not answer any more: {error.args[0].str()}") from None


def offsets_available(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return ``(low, high)``: the log holds the offsets ``[low, high)``.

    Raises
    ------
    LogUnavailable
        If Kafka does not say.
    """
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_SECONDS)
    except KafkaException as error:
        raise LogUnavailable(f"{topic}[{partition}]: {error.args[0].str()}") from None


def check_available(consumer: Consumer, topic: str, partition: int, wanted: int) -> None:
    """Make sure that the log still has what is to be read next.

    Raises
    ------
    ArchiveRefused
        If retention ate it, or the log is shorter than it was; the text names the offsets.
    """
    low, high = offsets_available(consumer, topic, partition)
    if wanted < low:
        raise ArchiveRefused(
            f"{topic}[{partition}]: offsets {wanted}..{low - 1} were deleted before they were archived (retention); "
            "what is left can be archived into another folder only as an incomplete run"
        )
    if wanted > high:
        raise ArchiveRefused(
            f"{topic}[{partition}]: the archive has read up to offset {wanted - 1}, the log ends at {high - 1}: "
            "records were lost or this is another log; archive into another folder"
        )


def read_range(consumer: Consumer, topic: str, partition: int, first: int, stop: int) -> Iterator[Record]:
    """Yield the records with offsets ``[first, stop)``.

    Parameters
    ----------
    consumer
        Made with ``enable_partition_eof=True``: where markers of transactions end the range, no record
        would ever come.

    Raises
    ------
    LogUnavailable
        If Kafka reports an error, or nothing comes for `QUIET_SECONDS`.
    """
    consumer.assign([TopicPartition(topic, partition, first)])
    reached = first
    while reached < stop:
        message = consumer.poll(QUIET_SECONDS)
        if message is None:
            raise LogUnavailable(
                f"{topic}[{partition}]: nothing came for {QUIET_SECONDS} s after offset {reached - 1}"
            )
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            return
        if (record := record_of(message)) is not None:
            reached = record.offset + 1
            if record.offset < stop:
                yield record


def record_of(message: Message) -> Record | None:
    """The record that Kafka delivered, or None for an error that passes by itself.

    Raises
    ------
    ArchiveRefused
        If the offset is not there any more.
    LogUnavailable
        For any other error.
    """
    error, offset = message.error(), message.offset()
    if error is None and offset is not None:
        headers = cast("Headers", message.headers())
        value = message.value()
        return Record(message.topic() or "", message.partition() or 0, offset, headers, value)
    if error is None or error.retriable() or error.code() in _PASSING:
        return None
    where = f"{message.topic()}[{message.partition()}]"
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise ArchiveRefused(f"{where}: records were deleted before they were read: {error.str()}")
    raise LogUnavailable(f"{where}: {error.str()}")


_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT)
