"""Topics, made with checked settings."""

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from lockstream.bridge.errors import UserError
from lockstream.bridge.messages import MAX_TILE_BYTES

MAX_MESSAGE_BYTES = 2 * MAX_TILE_BYTES  # a whole tile or manifest with its headers, and room to grow
CREATE_SECONDS = 15.0


class TopicRefused(UserError):
    """A topic that could not be made, with the settings to ask the cluster's owner for."""


class TopicExists(UserError, FileExistsError):
    """A topic of that name is there already."""


def run_topic_settings(retention_hours: float) -> dict[str, str]:
    """Settings of a run's topic: nothing is compacted, recompressed or cut off early.

    Parameters
    ----------
    retention_hours
        How long records are kept; -1 for ever.
    """
    retention = -1 if retention_hours == -1 else round(retention_hours * 3_600_000)
    return {
        "cleanup.policy": "delete",  # compaction would eat records that share no key
        "compression.type": "producer",  # what was sent is what is stored
        "max.message.bytes": str(MAX_MESSAGE_BYTES),  # Kafka's default is 4 % short of a whole tile
        "retention.ms": str(retention),
        "retention.bytes": "-1",
    }


def create_topic(
    admin: AdminClient, name: str, *, partitions: int, replication: int, settings: dict[str, str]
) -> None:
    """Make a topic and wait until the cluster has it.

    Raises
    ------
    TopicExists
        If there is one of that name.
    TopicRefused
        If the cluster does not let us; the text says which topic to ask for, with which settings.
    """
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=settings)
    try:
        admin.create_topics([topic], operation_timeout=CREATE_SECONDS)[name].result(CREATE_SECONDS + 5)
    except KafkaException as error:
        fault = error.args[0]
        if fault.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            raise TopicExists(f"topic {name!r} is there already") from None
        asked = ", ".join(f"{key}={value}" for key, value in settings.items())
        raise TopicRefused(
            f"topic {name!r} could not be made ({fault.str()}); make it, or ask the cluster's owner to, with "
            f"{partitions} partitions, replication factor {replication} and {asked}"
        ) from None


def was_written(admin: AdminClient, name: str, partitions: int) -> bool:
    """Whether there ever was a record in a topic.

    Raises
    ------
    TopicRefused
        If the cluster does not let us look.
    """
    newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    wanted = {TopicPartition(name, partition): newest for partition in range(partitions)}
    try:
        found = admin.list_offsets(wanted, request_timeout=CREATE_SECONDS)
        return any(future.result(CREATE_SECONDS + 5).offset > 0 for future in found.values())
    except KafkaException as error:
        raise TopicRefused(
            f"topic {name!r} cannot be looked at ({error.args[0].str()}); ask the cluster's owner for the right to "
            "DESCRIBE it"
        ) from None
