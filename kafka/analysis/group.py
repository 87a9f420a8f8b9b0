"""The consumer group that shares the runs: its consumers, what they subscribe to, and what the group has done."""

from collections.abc import Collection, Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lockstream.bridge.client import KafkaOptions, client_config, with_options
from lockstream.bridge.errors import ConfigurationError, WireError
from lockstream.bridge.messages import TOPIC_PREFIX, RunStarted, is_run_id, run_topic
from lockstream.bridge.topics import MAX_MESSAGE_BYTES
from lockstream.bridge.wire import decode
from lockstream.kafka.analysis.position import Position
from lockstream.kafka.events import Until
from lockstream.kafka.log import ANSWER_SECONDS, LogUnavailable, read_range

# What the user may set otherwise.
_DEFAULTS: dict[str, Any] = {
    "fetch.queue.backoff.ms": 5,  # an analysis slower than the broker starves for a second otherwise
    "fetch.error.backoff.ms": 100,
    "topic.metadata.refresh.interval.ms": 1000,  # how soon a new run is found
    "session.timeout.ms": 10_000,  # how soon a dead worker's partitions go to another
    "heartbeat.interval.ms": 500,  # how soon a worker learns that another came or left
    # Heartbeats have a thread of their own, and a worker polls between any two steps: only the analysis of
    # a single step could take this long.
    "max.poll.interval.ms": 1_800_000,
}


def group_consumer(options: KafkaOptions, group: str) -> Consumer:
    """Make a consumer that takes part in a group; a partition nobody has worked on begins at its start.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    group
        The group's name.
    """
    config = client_config(
        options,
        group_id=group,
        group_protocol="classic",
        partition_assignment_strategy="cooperative-sticky",  # others go on while one comes or goes
        enable_auto_commit=False,
        enable_auto_offset_store=False,
        auto_offset_reset="earliest",
        check_crcs=True,
        fetch_message_max_bytes=MAX_MESSAGE_BYTES,
    )
    consumer: Consumer = with_options(Consumer, _DEFAULTS | config)
    return consumer


def subscription(runs: Collection[str]) -> str:
    """Regular expression of the topics of `runs`, or of all runs if there are none; they may come later.

    Raises
    ------
    ConfigurationError
        If one of them cannot be the name of a run.
    """
    for run in runs:
        if not is_run_id(run):
            raise ConfigurationError(
                "--run", run, "is not a run id: those have a-z, 0-9, - and _ only, at most 64"
            )
    which = "|".join(sorted(runs)) or "[a-z0-9][a-z0-9_-]{0,63}"
    return f"^{TOPIC_PREFIX.replace('.', '[.]')}({which})$"


def run_of(topic: str) -> str:
    """Return the run that a subscribed topic carries."""
    return topic.removeprefix(TOPIC_PREFIX)


def committed_offsets(consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
    """Ask what the group has committed of `partitions`; the consumer need not be a member.

    Raises
    ------
    LogUnavailable
        If Kafka does not say.
    """
    if not partitions:
        return []
    try:
        return consumer.committed(partitions, timeout=ANSWER_SECONDS)
    except KafkaException as error:
        raise LogUnavailable(f"committed offsets cannot be read: {error.args[0].str()}") from None


def read_started(consumer: Consumer, topic: str, partition: int, offset: int) -> RunStarted:
    """Read the ``run-started`` that lies at `offset`.

    Parameters
    ----------
    consumer
        Made by `lockstream.kafka.log.reader` with ``enable_partition_eof=True``.
    topic, partition, offset
        Where it is.

    Raises
    ------
    WireError
        If something else lies there.
    ArchiveRefused, LogUnavailable
        If nothing does any more, or Kafka does not answer.
    """
    for record in read_range(consumer, topic, partition, offset, offset + 1):
        message = decode(record.headers, record.value)
        if record.offset == offset and isinstance(message, RunStarted) and message.run == run_of(topic):
            consumer.unassign()
            return message
    raise WireError(f"{topic}[{partition}]: no run-started at offset {offset}")


def all_over(consumer: Consumer, runs: Collection[str], until: Until) -> bool:
    """Whether the group has analysed everything of `runs` and all of them are over.

    The answer comes from what the group has committed, so that a worker learns it whoever did the work.

    Parameters
    ----------
    consumer
        Made with the group's name.
    runs
        The runs; one that Kafka does not have yet is not over.
    until
        Which end counts.
    """
    try:
        topics = consumer.list_topics(timeout=ANSWER_SECONDS).topics
        return all(
            (topic := topics.get(run_topic(run))) is not None
            and bool(topic.partitions)
            and all(_reached_ends(consumer, topic.topic, list(topic.partitions), until))
            for run in runs
        )
    except (KafkaException, LogUnavailable):
        return False  # Kafka does not answer at the moment: ask again later


def _reached_ends(consumer: Consumer, topic: str, partitions: list[int], until: Until) -> Iterator[bool]:
    wanted = [TopicPartition(topic, number) for number in partitions]
    for committed in committed_offsets(consumer, wanted):
        position = Position.read(committed)
        yield (
            position is not None and position.is_over(until) and position.offset >= _high(consumer, committed)
        )


def _high(consumer: Consumer, partition: TopicPartition) -> int:
    return int(consumer.get_watermark_offsets(partition, timeout=ANSWER_SECONDS)[1])
