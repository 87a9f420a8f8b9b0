"""The embedded broker: the real Apache Kafka on a local JVM, without containers and without root."""

from lockstream.kafka.broker.lifecycle import (
    DEFAULT_HEAP,
    BrokerInfo,
    BrokerStatus,
    StopOutcome,
    embedded_broker,
    fetch,
    start,
    status,
    stop,
    wait,
)

__all__ = [
    "DEFAULT_HEAP",
    "BrokerInfo",
    "BrokerStatus",
    "StopOutcome",
    "embedded_broker",
    "fetch",
    "start",
    "status",
    "stop",
    "wait",
]
