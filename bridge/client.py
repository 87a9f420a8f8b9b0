"""The settings every Kafka client of ours shares, and the first contact with a broker."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from lockstream.bridge.errors import BrokerRefuses, BrokerUnreachable, ConfigurationError
from lockstream.bridge.secrets import TOKEN, resolved
from lockstream.bridge.settings import KafkaOptions as KafkaOptions  # for whoever makes a client

DEFAULT_SERVERS = "127.0.0.1:9092"
FIRST_CONTACT_SECONDS = 10.0
TRY_SECONDS = 2.0

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
        Options that the caller insists on, with underscores for dots; callbacks (``…_cb``) as they are.

    Raises
    ------
    ConfigurationError
        If a secret cannot be had.
    """
    required = {key if key.endswith("_cb") else key.replace("_", "."): value for key, value in ours.items()}
    return {
        "bootstrap.servers": DEFAULT_SERVERS,
        "client.id": "lockstream",
        "logger": _librdkafka,
        **resolved(options),
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
        if "OAuth" in reason:
            key, reason = (
                TOKEN,
                "librdkafka was given no token that is good: it has expired, or says too little",
            )
        raise ConfigurationError(f"kafka.{key}", config.get(key, ""), reason) from None


def first_contact(
    admin: AdminClient, servers: str, timeout: float = FIRST_CONTACT_SECONDS
) -> ClusterMetadata:
    """Ask the cluster for its brokers and topics.

    Raises
    ------
    BrokerUnreachable
        If nobody answers within `timeout` seconds.
    BrokerRefuses
        If somebody does, and encryption or authentication fails.
    """
    words = _Overheard()
    _librdkafka.addHandler(words)
    limit = time.monotonic() + timeout
    try:
        while True:
            try:
                return admin.list_topics(timeout=min(TRY_SECONDS, timeout))
            except KafkaException as error:
                admin.poll(0)  # has what librdkafka said in the meantime brought to us
                _explain(words.said, servers)
                if time.monotonic() >= limit:
                    raise BrokerUnreachable(servers, error.args[0].str()) from None
    finally:
        _librdkafka.removeHandler(words)


def _explain(said: Sequence[str], servers: str) -> None:
    """Raise what is said to be wrong, if it is not that nobody is there."""
    for sentence in said:
        if cure := next((cure for sign, cure in _CURES if sign in sentence), ""):
            raise BrokerRefuses(servers, sentence.partition(": ")[2][:300], cure) from None


_CURES = (  # what librdkafka says, and what to do about it
    ("SASL authentication error", "check sasl.mechanism, sasl.username and the password or token"),
    ("Authentication failed", "check sasl.mechanism, sasl.username and the password or token"),
    ("certificate verify failed", "name the certificate of the cluster's authority with ssl.ca.location"),
    (
        "security.protocol",
        "the port wants another security.protocol: SSL, SASL_SSL, SASL_PLAINTEXT or PLAINTEXT",
    ),
    (
        "wrong version number",
        "the port does not speak TLS: set security.protocol to PLAINTEXT or SASL_PLAINTEXT",
    ),
    ("SSL handshake failed", "check security.protocol and the ssl.… options"),
)


class _Overheard(logging.Handler):
    """Keeps what librdkafka says."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def servers_of(options: KafkaOptions) -> str:
    """Return the bootstrap servers that `options` lead to."""
    return str(options.get("bootstrap.servers", DEFAULT_SERVERS))
