"""From settings to a publisher: the producer, the run's new topic, and ``run-started`` as its first record."""

import confluent_kafka

from lockstream.bridge.client import (
    KafkaOptions,
    admin_client,
    client_config,
    first_contact,
    servers_of,
    with_options,
)
from lockstream.bridge.errors import ConfigurationError
from lockstream.bridge.messages import RunStarted, run_topic
from lockstream.bridge.publisher import Publisher
from lockstream.bridge.settings import StreamSettings
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, TopicExists, create_topic, run_topic_settings

MAX_QUEUED_RECORDS = 1_000_000


def begin_publishing(started: RunStarted, settings: StreamSettings, options: KafkaOptions) -> Publisher:
    """Make the run's topic and a publisher for it, and send ``run-started``.

    Raises
    ------
    UserError
        If a setting will not do, nobody answers, or the topic cannot be made.
    """
    if started.step_bytes > settings.buffer_bytes:
        raise ConfigurationError(
            "stream.buffer_bytes", settings.buffer_bytes, f"one step has {started.step_bytes}: make it larger"
        )
    config = {
        "linger.ms": 1,  # tiles are large: there is nothing to wait for
        **client_config(
            options,
            enable_idempotence=True,
            acks="all",
            compression_type="none",
            message_max_bytes=MAX_MESSAGE_BYTES,
            queue_buffering_max_kbytes=max(settings.buffer_bytes + started.step_bytes, 1 << 24) >> 10,
            queue_buffering_max_messages=MAX_QUEUED_RECORDS,
        ),
    }
    producer = with_options(confluent_kafka.Producer, config)
    admin = admin_client(options)
    first_contact(admin, servers_of(options))
    topic = run_topic(started.run)
    try:
        create_topic(
            admin,
            topic,
            partitions=started.partitions,
            replication=settings.replication,
            settings=run_topic_settings(settings.retention_hours),
        )
    except TopicExists:
        raise ConfigurationError(
            "run.id",
            started.run,
            f"topic {topic!r} holds a run of that name; choose another id, or delete it",
        ) from None
    publisher = Publisher(producer, topic, started, settings.buffer_bytes)
    publisher.send_now(started)
    return publisher
