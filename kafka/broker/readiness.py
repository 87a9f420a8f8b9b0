"""Waiting until a starting broker really serves clients."""

import logging
import socket
import struct
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lockstream.kafka.broker.membership import Membership
from lockstream.kafka.broker.process import ProcessIdentity

if TYPE_CHECKING:
    from confluent_kafka.admin import ClusterMetadata  # type: ignore[attr-defined]

_PAUSE = 0.02  # s between two tries
_INIT_PRODUCER_ID = 22  # Kafka's API key
_NULL_STRING = -1

_log = logging.getLogger(__name__)


def wait_until_ready(
    process: ProcessIdentity, membership: Membership, cluster_id: str, timeout: float
) -> bool:
    """Wait until this node answers as one of `cluster_id`; tell whether it did.

    It has not when its process has ended, or after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    place = (membership.address.host, membership.address.port)

    def wait_for(condition: Callable[[], bool]) -> bool:
        while not condition():
            if not process.alive() or time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    return (
        wait_for(lambda: _listens(place))
        and wait_for(lambda: _knows_itself(place, membership.number, cluster_id))
        and wait_for(lambda: _hands_out_producer_ids(place))
    )


def wait_for_majority(membership: Membership, cluster_id: str, timeout: float) -> bool:
    """Wait until most nodes of a cluster serve it, whichever they are; tell whether they did."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        metadata = _metadata(membership.bootstrap_servers)
        if (
            metadata
            and metadata.cluster_id == cluster_id
            and 2 * len(metadata.brokers) > len(membership.addresses)
        ):
            return True
        time.sleep(_PAUSE)
    return False


def _listens(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=1).close()
    except OSError:
        return False
    return True


def _knows_itself(place: tuple[str, int], number: int, cluster_id: str) -> bool:
    """Tell whether a client gets metadata with this very broker in it."""
    metadata = _metadata(f"{place[0]}:{place[1]}")
    return metadata is not None and number in metadata.brokers and metadata.cluster_id == cluster_id


def _metadata(servers: str) -> "ClusterMetadata | None":
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    quiet = logging.getLogger(f"{__name__}.client")
    quiet.setLevel(logging.CRITICAL)  # that it cannot connect at first is what we are waiting for
    try:
        return AdminClient({"bootstrap.servers": servers}, logger=quiet).list_topics(timeout=2)
    except KafkaException as error:
        _log.debug("no metadata yet: %s", error)
        return None


def _hands_out_producer_ids(place: tuple[str, int]) -> bool:
    """Ask for an idempotent producer's id, as the first producer would.

    The broker gets its ids in blocks from the controller and refuses the one request that makes it ask for
    the first block, upon which librdkafka prints `Failed to acquire idempotence PID … Coordinator load in
    progress` and waits. This is that request, so that no user's producer has to be the first.
    InitProducerId, version 1: https://kafka.apache.org/protocol#The_Messages_InitProducerId
    """
    client = b"lockstream"
    request = struct.pack(">hhih", _INIT_PRODUCER_ID, 1, 0, len(client)) + client
    request += struct.pack(">hi", _NULL_STRING, 60_000)  # no transactional id; transaction time-out in ms
    try:
        with socket.create_connection(place, timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answers:
                # size, correlation id, throttle time, error code; the id and its epoch follow
                *_, error = struct.unpack(">iiih", answers.read(14))
    except (OSError, struct.error):
        return False
    return bool(error == 0)
