"""What must be there before a run can be sent: a producer that does not give up, and the run's topic."""

from collections.abc import Callable

import confluent_kafka

from lockstream.bridge.client import admin_client, client_config, first_contact, servers_of, with_options
from lockstream.bridge.errors import ConfigurationError
from lockstream.bridge.messages import RunStarted, run_topic
from lockstream.bridge.outbox import Producer
from lockstream.bridge.settings import KafkaOptions, StreamSettings
from lockstream.bridge.topics import (
    MAX_MESSAGE_BYTES,
    TopicExists,
    create_topic,
    run_topic_settings,
    was_written,
)

MAX_QUEUED_RECORDS = 1_000_000
CONTROL_ROOM = 16 << 20  # bytes of librdkafka's queue for messages without elements


def producer_maker(
    settings: StreamSettings, step_bytes: int, options: KafkaOptions, throttled: Callable[[float], None]
) -> Callable[[], Producer]:
    """Return what makes idempotent producers.

    They try for ever: how long to wait is for the policy to say, and what is given up is taken back.

    Parameters
    ----------
    settings, step_bytes, options
        The ``[stream]`` table, the size of a step, the ``[kafka]`` table.
    throttled
        Called with the seconds of every delay by which a broker holds a quota.

    Raises
    ------
    ConfigurationError
        If librdkafka refuses an option.
    """
    config = {
        "linger.ms": 1,  # tiles are large: there is nothing to wait for
        "reconnect.backoff.max.ms": 1000,  # a broker that is back is noticed soon
        **client_config(
            options,
            enable_idempotence=True,
            acks="all",
            compression_type="none",
            message_timeout_ms=0,
            message_max_bytes=MAX_MESSAGE_BYTES,
            queue_buffering_max_kbytes=(settings.buffer_bytes + step_bytes + CONTROL_ROOM) >> 10,
            queue_buffering_max_messages=MAX_QUEUED_RECORDS,
            throttle_cb=lambda event: throttled(event.throttle_time),
        ),
    }

    def start() -> Producer:
        producer: Producer = with_options(confluent_kafka.Producer, config)
        return producer

    return start


def make_topic(started: RunStarted, settings: StreamSettings, options: KafkaOptions) -> None:
    """Make the run's topic, unless it is there: for a later attempt, or because somebody prepared it.

    Raises
    ------
    UserError
        If nobody answers, or the topic cannot be made, has other partitions, holds another run, or was deleted since an
        older attempt.
    """
    admin = admin_client(options)
    topic = run_topic(started.run)
    there = first_contact(admin, servers_of(options)).topics.get(topic)
    if there is None:
        if started.steps_before > 0 and settings.require_broker:
            raise _gone(started.run, topic)
        try:
            create_topic(
                admin,
                topic,
                partitions=started.partitions,
                replication=settings.replication,
                settings=run_topic_settings(settings.retention_hours),
            )
        except TopicExists:  # since a moment ago
            raise _taken(started.run, topic) from None
        return
    if started.attempt == 0 and was_written(admin, topic, len(there.partitions)):
        raise _taken(started.run, topic)
    if len(there.partitions) != started.partitions:
        problem = f"topic {topic!r} has {len(there.partitions)}; give that number"
        raise ConfigurationError("stream.partitions", started.partitions, problem)


def _gone(run: str, topic: str) -> ConfigurationError:
    problem = (
        f"topic {topic!r} is gone, and with it the steps of older attempts: a new one would begin in the middle; begin "
        "anew under another id, or, if Kafka was never reached before, set stream.require_broker = false"
    )
    return ConfigurationError("run.id", run, problem)


def _taken(run: str, topic: str) -> ConfigurationError:
    problem = f"topic {topic!r} holds a run of that name; choose another id, or delete it"
    return ConfigurationError("run.id", run, problem)
