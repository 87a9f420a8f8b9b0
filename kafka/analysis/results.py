"""The results topic: made with checked settings, written with acknowledgement, read back run by run."""

import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from lockstream.bridge.client import KafkaOptions, client_config, with_options
from lockstream.bridge.errors import DeliveryFailed, WireError
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, TopicExists, create_topic, run_topic_settings
from lockstream.kafka.analysis.errors import ResultsTopicUnfit
from lockstream.kafka.analysis.messages import SpectrumResult, decode_result, encode_result
from lockstream.kafka.analysis.settings import AnalysisSettings
from lockstream.kafka.log import ANSWER_SECONDS, LogUnavailable, offsets_available, read_range

LOOK_SECONDS = 0.1
FLUSH_SECONDS = 10.0


class ResultsTopic(NamedTuple):
    """The results topic.

    Parameters
    ----------
    name, partitions
        Its name, and how many partitions it has.
    """

    name: str
    partitions: int

    def partition_of(self, run: str) -> int:
        """Partition of a run's results: the one that librdkafka's own partitioner chooses by key."""
        return zlib.crc32(run.encode()) % self.partitions


def prepare_results_topic(admin: AdminClient, settings: AnalysisSettings) -> ResultsTopic:
    """Make sure that the results topic is there and keeps what is written into it.

    Raises
    ------
    TopicRefused
        If it is not there and cannot be made.
    ResultsTopicUnfit
        If it is compacted: of each run only the newest result would stay.
    LogUnavailable
        If Kafka does not answer.
    """
    name = settings.topic
    try:
        if not _partitions(admin, name):
            _make(admin, settings)
        resource = ConfigResource(ResourceType.TOPIC, name)
        described = admin.describe_configs([resource], request_timeout=ANSWER_SECONDS)[resource].result()
        policy = described["cleanup.policy"].value
    except KafkaException as error:
        raise LogUnavailable(f"topic {name!r}: {error.args[0].str()}") from None
    if "compact" in policy:
        raise ResultsTopicUnfit(
            f"topic {name!r} has cleanup.policy={policy}: of each run only the newest result would stay; set it "
            "to delete, or choose another topic with --set analysis.topic=NAME"
        )
    return ResultsTopic(name, _partitions(admin, name))


class ResultsWriter:
    """Writes results; what `flush` has confirmed is stored.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    topic
        Where to.
    """

    def __init__(self, options: KafkaOptions, topic: ResultsTopic) -> None:
        config = client_config(
            options, enable_idempotence=True, acks="all", message_max_bytes=MAX_MESSAGE_BYTES
        )
        # The wavenumbers are the same in every result of a run: a batch of them compresses very well.
        self._producer: Producer = with_options(
            Producer, {"compression.type": "zstd", "linger.ms": 20, **config}
        )
        self._topic, self._failure = topic, ""

    def write(self, result: SpectrumResult, after: int) -> None:
        """Hand a result over.

        Parameters
        ----------
        result
            The result.
        after
            Timestamp of what it was made from, ms. The result's own is never older, whatever the clocks
            of the machines say, so that a run's results can be found by time.

        Raises
        ------
        DeliveryFailed
            If an earlier one could not be delivered.
        """
        headers, value = encode_result(result)
        timestamp = max(after, time.time_ns() // 1_000_000)
        while True:
            try:
                self._producer.produce(
                    self._topic.name,
                    key=result.run.encode(),
                    value=value,
                    headers=headers,  # type: ignore[arg-type]
                    partition=self._topic.partition_of(result.run),
                    timestamp=timestamp,
                    on_delivery=self._delivered,
                )
            except BufferError:  # the queue is full: Kafka is slower than we are
                self._producer.poll(1.0)
            else:
                break
            self._raise_failure()
        self._producer.poll(0)

    def flush(self) -> bool:
        """Wait for the acknowledgements; whether all are there.

        Raises
        ------
        DeliveryFailed
            If a result could not be delivered.
        """
        missing = self._producer.flush(FLUSH_SECONDS)
        self._raise_failure()
        return missing == 0

    def abandon(self) -> None:
        """Throw away what is not delivered: it is analysed again by whoever goes on."""
        self._producer.purge()

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self._failure = self._failure or str(error)

    def _raise_failure(self) -> None:
        if self._failure:
            raise DeliveryFailed(f"results could not be delivered to {self._topic.name!r}: {self._failure}")


def read_results(consumer: Consumer, topic: ResultsTopic, run: str, since: int) -> Iterator[SpectrumResult]:
    """Yield a run's results, oldest first; what is not one is passed over.

    Parameters
    ----------
    consumer
        Made by `lockstream.kafka.log.reader` with ``enable_partition_eof=True``.
    topic
        Where they are.
    run
        The run.
    since
        Timestamp that no result of the run is older than, ms.

    Raises
    ------
    LogUnavailable
        If Kafka does not answer.
    """
    partition = topic.partition_of(run)
    wanted = [TopicPartition(topic.name, partition, since)]
    try:
        found = consumer.offsets_for_times(wanted, timeout=ANSWER_SECONDS)[0]
    except KafkaException as error:
        raise LogUnavailable(f"{topic.name}[{partition}]: {error.args[0].str()}") from None
    if found.error is not None:
        raise LogUnavailable(f"{topic.name}[{partition}]: {found.error.str()}")
    _, high = offsets_available(consumer, topic.name, partition)
    first = found.offset if found.offset >= 0 else high  # negative: nothing is that new
    for record in read_range(consumer, topic.name, partition, first, high):
        try:
            result = decode_result(record.value)
        except WireError:
            continue
        if result.run == run:
            yield result
    consumer.unassign()


def _partitions(admin: AdminClient, topic: str) -> int:
    described = admin.list_topics(timeout=ANSWER_SECONDS).topics.get(topic)
    return len(described.partitions) if described else 0


def _make(admin: AdminClient, settings: AnalysisSettings) -> None:
    """Make the topic and wait until the cluster shows it; another worker may be quicker."""
    with suppress(TopicExists):
        create_topic(
            admin,
            settings.topic,
            partitions=settings.partitions,
            replication=settings.replication,
            settings=run_topic_settings(settings.retention_hours),
        )
    limit = time.monotonic() + ANSWER_SECONDS
    while not _partitions(admin, settings.topic):
        if time.monotonic() > limit:
            raise LogUnavailable(f"topic {settings.topic!r} was made, but Kafka does not show it")
        time.sleep(LOOK_SECONDS)
