"""Brings the spool of a run whose processes have ended into Kafka: the topic if it is missing, then every item."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any

import confluent_kafka
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from lockstream.bridge.client import (
    FIRST_CONTACT_SECONDS,
    KafkaOptions,
    admin_client,
    client_config,
    first_contact,
    servers_of,
    with_options,
)
from lockstream.bridge.draining import WINDOW_BYTES, Drain
from lockstream.bridge.errors import BrokerUnreachable, DeliveryFailed, NotASpool, UserError
from lockstream.bridge.spool import Spool
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, TopicExists, create_topic, run_topic_settings

POLL_SECONDS = 0.2


def deliver(
    spool: Spool, options: KafkaOptions, timeout: float, report: Callable[[Drain], object], stop: Event
) -> Drain:
    """Deliver everything that a spool holds; what is acknowledged is deleted from it.

    Parameters
    ----------
    spool
        It may be interrupted at any point, and delivered again: what is sent twice is a duplicate to its readers.
    options
        The user's ``[kafka]`` table.
    timeout
        Seconds that Kafka may stay silent.
    report
        Called again and again with how far it has come.
    stop
        Once it is set, nothing more is sent.

    Returns
    -------
    Drain
        What was delivered.

    Raises
    ------
    UserError
        If the topic cannot be made, or would begin in the middle of the run.
    DeliveryFailed
        If Kafka stays away, or refuses a record.
    SpoolDamaged
        If the spool does not hold what was written to it.
    """
    if spool.about.servers:
        options = {"bootstrap.servers": spool.about.servers, **options}
    admin = admin_client(options)
    cluster = _contact(admin, servers_of(options), timeout, stop)
    _prepare_topic(spool, admin, cluster)
    producer = _producer(options)
    drain = Drain(spool, producer, spool.about.topic)
    try:
        pump_dry(drain, timeout, report, stop)
    finally:
        producer.purge()  # nothing is waited for that nobody asks about any more
    return drain


def pump_dry(drain: Drain, timeout: float, report: Callable[[Drain], object], stop: Event) -> None:
    """Pump until nothing is left, or `stop` is set; the parameters are those of `deliver`.

    Raises
    ------
    DeliveryFailed
        If Kafka acknowledges nothing for `timeout` seconds.
    """
    limit, records = time.monotonic() + timeout, 0
    while drain.pump(POLL_SECONDS) and not stop.is_set():
        report(drain)
        if drain.records > records:
            limit, records = time.monotonic() + timeout, drain.records
        elif time.monotonic() > limit:
            raise DeliveryFailed(
                f"Kafka has acknowledged nothing for {timeout:g} s; {drain.items} items were delivered, the others "
                "are still in the spool: start the same command again when Kafka is back"
            )
    report(drain)


def _contact(admin: AdminClient, servers: str, timeout: float, stop: Event) -> ClusterMetadata:
    limit = time.monotonic() + timeout
    while True:
        try:
            left = limit - time.monotonic()
            return first_contact(admin, servers, min(FIRST_CONTACT_SECONDS, max(left, POLL_SECONDS)))
        except BrokerUnreachable as error:
            if time.monotonic() > limit or stop.is_set():
                raise DeliveryFailed(f"nothing was delivered: {error}") from None


def _prepare_topic(spool: Spool, admin: AdminClient, cluster: ClusterMetadata) -> None:
    about = spool.about
    if about.cluster and about.cluster != cluster.cluster_id:
        raise UserError(
            f"run {about.run!r} went to the Kafka cluster {about.cluster!r}, and this is {cluster.cluster_id!r}: "
            "name its servers with LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS"
        )
    if about.topic in cluster.topics or not spool.items:
        return
    if not _holds_the_beginning(spool):
        raise NotASpool(
            f"{spool.folder}: does not hold the beginning of run {about.run!r}, and there is no topic "
            f"{about.topic!r}: name the servers that the run went to with LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS"
        )
    try:
        create_topic(
            admin,
            about.topic,
            partitions=about.partitions,
            replication=about.replication,
            settings=run_topic_settings(about.retention_hours),
        )
    except TopicExists:
        return  # made meanwhile: by nobody else than another drain of this spool's copy


def _holds_the_beginning(spool: Spool) -> bool:
    item = spool.next_item()
    first = next(item[1], None) if item is not None else None
    return first is not None and dict(first.headers).get("ls-kind") == b"run-started"


def _producer(options: KafkaOptions) -> Any:
    config = client_config(
        options,
        enable_idempotence=True,
        acks="all",
        compression_type="none",
        message_max_bytes=MAX_MESSAGE_BYTES,
        message_timeout_ms=0,  # a record that times out would leave a hole: we give up as a whole
        queue_buffering_max_kbytes=2 * WINDOW_BYTES >> 10,
    )
    return with_options(confluent_kafka.Producer, {"linger.ms": 1, **config})
