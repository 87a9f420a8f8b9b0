"""The embedded broker: the real Apache Kafka on a local JVM, without containers and without root."""

from lockstream.kafka.broker.lifecycle import (
    DEFAULT_HEAP,
    BrokerInfo,
    BrokerStatus,
    StopOutcome,
    embedded_broker,
    start,
    status,
    stop,
    wait,
)
from lockstream.kafka.broker.preparation import fetch
from lockstream.kafka.broker.properties import Detour

__all__ = [
    "DEFAULT_HEAP",
    "BrokerInfo",
    "BrokerStatus",
    "Detour",
    "StopOutcome",
    "embedded_broker",
    "fetch",
    "start",
    "status",
    "stop",
    "wait",
]
