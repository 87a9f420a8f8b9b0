"""The embedded broker: the real Apache Kafka on a local JVM, without containers and without root."""

from lockstream.kafka.broker.cluster import Cluster, embedded_cluster
from lockstream.kafka.broker.launch import DEFAULT_HEAP
from lockstream.kafka.broker.lifecycle import (
    BrokerInfo,
    BrokerStatus,
    StopOutcome,
    embedded_broker,
    embedded_node,
    start,
    status,
    stop,
    wait,
)
from lockstream.kafka.broker.meeting import Seat
from lockstream.kafka.broker.preparation import fetch
from lockstream.kafka.broker.properties import Detour

__all__ = [
    "DEFAULT_HEAP",
    "BrokerInfo",
    "BrokerStatus",
    "Cluster",
    "Detour",
    "Seat",
    "StopOutcome",
    "embedded_broker",
    "embedded_cluster",
    "embedded_node",
    "fetch",
    "start",
    "status",
    "stop",
    "wait",
]
