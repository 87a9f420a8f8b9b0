"""The settings every Kafka client of ours shares, and the first contact with a broker."""

import logging
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from lockstream.bridge.errors import BrokerUnreachable, ConfigurationError
from lockstream.bridge.settings import KafkaOptions as KafkaOptions  # for whoever makes a client

DEFAULT_SERVERS = "127.0.0.1:9092"
FIRST_CONTACT_SECONDS = 10.0

_librdkafka = logging.getLogger("lockstream.librdkafka")
_librdkafka.addHandler(logging.NullHandler())  # silent unless the user's program configures it
_librdkafka.propagate = False


def client_config(options: KafkaOptions, **ours: Any) -> dict[str, Any]:
    """Options for a client: the user's ``[kafka]`` table, under what Lockstream cannot do without.

    Parameters
    ----------
    options
        Any librdkafka options; ``bootstrap.servers`` defaults to a broker on this machine.
    ours
        Options that the caller insists on, with underscores for dots.
    """
    required = {key.replace("_", "."): value for key, value in ours.items()}
    return {
        "bootstrap.servers": DEFAULT_SERVERS,
        "client.id": "lockstream",
        "logger": _librdkafka,
        **options,
        **required,
    }


def admin_client(options: KafkaOptions) -> AdminClient:
    """Return an admin client.

    Raises
    ------
    ConfigurationError
        If librdkafka refuses an option.
    """
    client: AdminClient = with_options(AdminClient, client_config(options))
    return client


def with_options(client: type[Any], config: dict[str, Any]) -> Any:
    """Make a client; an option that librdkafka refuses is the user's mistake, named as such.

    Raises
    ------
    ConfigurationError
        Naming the option.
    """
    try:
        return client(config)
    except KafkaException as error:
        reason = error.args[0].str()
        key = next((key for key in config if key in reason), "kafka")
        raise ConfigurationError(f"kafka.{key}", config.get(key), reason) from None


def first_contact(
    admin: AdminClient, servers: str, timeout: float = FIRST_CONTACT_SECONDS
) -> ClusterMetadata:
    """Ask the cluster for its brokers and topics.

    Raises
    ------
    BrokerUnreachable
        If nobody answers within `timeout` seconds.
    """
    try:
        return admin.list_topics(timeout=timeout)
    except KafkaException as error:
        raise BrokerUnreachable(servers, error.args[0].str()) from None


def servers_of(options: KafkaOptions) -> str:
    """Return the bootstrap servers that `options` lead to."""
    return str(options.get("bootstrap.servers", DEFAULT_SERVERS))
