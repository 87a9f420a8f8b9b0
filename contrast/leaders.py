"""A topic that was just made is known before its partitions have a leader; this waits until one answers."""

import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lockstream.bridge.errors import LockstreamError

PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.01


class NoLeader(LockstreamError):
    """A partition does not answer."""


def await_leader(consumer: Consumer, topic: str, partition: int = 0) -> None:
    """Wait until a partition says how long it is; the consumer is then connected to its leader.

    Raises
    ------
    NoLeader
        With Kafka's last word, after `PATIENCE_SECONDS`.
    """
    limit = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_SECONDS)
            return
        except KafkaException as error:
            if time.monotonic() > limit:
                raise NoLeader(f"{topic}[{partition}]: {error.args[0].str()}") from None
            time.sleep(_LOOK_SECONDS)
