"""Kafka: reachable, what its brokers are set to, and what it lets us do."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclOperation,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from lockstream.bridge.client import admin_client, client_config, first_contact, servers_of
from lockstream.bridge.errors import UserError
from lockstream.bridge.messages import run_topic
from lockstream.bridge.settings import KafkaOptions, StreamSettings
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, run_topic_settings
from lockstream.cli.checks.finding import Finding, fault, ok, unknown, warning
from lockstream.cli.checks.release import check_release

PLACE = "kafka"
ASK_SECONDS = 15.0
SKEW_SECONDS = 1.0
NEEDED = {AclOperation.READ: "READ", AclOperation.WRITE: "WRITE", AclOperation.DESCRIBE: "DESCRIBE"}


def check_kafka(
    options: KafkaOptions, stream: StreamSettings, run: str | None, *, is_probing: bool
) -> Iterator[Finding]:
    """Look at the cluster as a client of ours would find it.

    Parameters
    ----------
    options, stream
        The ``[kafka]`` and the ``[stream]`` table.
    run
        The run whose topic is looked at; None: whether one could be made.
    is_probing
        Make a topic, send a record, and remove both again: what it takes, and whether the clocks agree.
    """
    servers = servers_of(options)
    try:
        admin = admin_client(options)
        metadata = first_contact(admin, servers)
    except UserError as error:
        found, _, cure = str(error).partition("; ")
        yield fault(PLACE, f"brokers at {servers}", found, cure or "correct the [kafka] table")
        return
    brokers, client = len(metadata.brokers), confluent_kafka.libversion()[0]
    found = f"cluster {metadata.cluster_id}, {brokers} broker{'s' * (brokers != 1)}; librdkafka {client}"
    yield ok(PLACE, f"brokers at {servers}", found)
    first = metadata.brokers[min(metadata.brokers)]
    yield check_release(str(first.host), int(str(first.port)), options)
    yield from _check_broker(admin, min(metadata.brokers), brokers, stream)
    topic = run_topic(run or f"doctor-{uuid.uuid4().hex[:8]}")
    if topic in metadata.topics:
        yield from _check_topic(admin, topic, len(metadata.topics[topic].partitions), stream)
    else:
        yield _check_creation(admin, topic, stream)
    if is_probing:
        yield from _probe(admin, options, run_topic(f"doctor-{uuid.uuid4().hex[:8]}"))


def _check_broker(admin: AdminClient, broker: int, brokers: int, stream: StreamSettings) -> Iterator[Finding]:
    try:
        settings = _settings(admin, ConfigResource(ResourceType.BROKER, str(broker)))
    except KafkaException as error:
        cure = "harmless; for a full check ask for DESCRIBE_CONFIGS on the cluster"
        yield unknown(PLACE, "brokers' settings", error.args[0].str(), cure)
        return
    factor = stream.replication if stream.replication != -1 else int(settings["default.replication.factor"])
    yield judge_replication(factor, int(settings["min.insync.replicas"]), brokers)
    if settings["auto.create.topics.enable"] == "true":
        cure = "set auto.create.topics.enable=false: a mistyped run id would make a topic with the wrong settings"
        yield warning(PLACE, "auto.create.topics.enable", "true", cure)
    yield _kraft(settings)


def _kraft(settings: Mapping[str, str]) -> Finding:
    if settings.get("process.roles"):
        return ok(PLACE, "KRaft", f"process.roles = {settings['process.roles']}")
    return warning(
        PLACE, "KRaft", "the cluster does not say process.roles", "Lockstream is tested with Kafka 4"
    )


def judge_replication(factor: int, least_in_sync: int, brokers: int) -> Finding:
    """Say what becomes of acknowledged steps when a broker is lost.

    Parameters
    ----------
    factor, least_in_sync
        Replication factor and ``min.insync.replicas`` of a run's topic.
    brokers
        How many there are.
    """
    found = f"replication factor {factor}, min.insync.replicas {least_in_sync}, {brokers} brokers"
    if factor > brokers:
        cure = f"set stream.replication to at most {brokers}, or start more brokers"
        return fault(PLACE, "replication", found, cure)
    if least_in_sync > factor:
        cure = "no write could ever be acknowledged: lower min.insync.replicas, or raise stream.replication"
        return fault(PLACE, "replication", found, cure)
    if brokers > 1 and factor == 1:
        cure = "one lost disk loses steps that were acknowledged: set stream.replication = 3 (or 2)"
        return warning(PLACE, "replication", found, cure)
    if factor > 1 and least_in_sync == 1:
        cure = "set min.insync.replicas=2: else acks=all means one copy when the others lag behind"
        return warning(PLACE, "replication", found, cure)
    if 1 < factor == least_in_sync:
        cure = "one broker away stops all writes: min.insync.replicas should be one less than the factor"
        return warning(PLACE, "replication", found, cure)
    return ok(PLACE, "replication", found)


def _check_topic(
    admin: AdminClient, topic: str, partitions: int, stream: StreamSettings
) -> Iterator[Finding]:
    what = f"topic {topic}"
    try:
        settings = _settings(admin, ConfigResource(ResourceType.TOPIC, topic))
    except KafkaException as error:
        yield unknown(PLACE, what, error.args[0].str(), f"ask for DESCRIBE_CONFIGS on {topic}")
    else:
        yield judge_topic(what, settings, partitions, stream)
    asked = admin.describe_topics(TopicCollection([topic]), include_authorized_operations=True)
    try:
        described = asked[topic].result(ASK_SECONDS)
    except KafkaException as error:
        yield fault(PLACE, what, error.args[0].str(), f"ask for DESCRIBE on {topic}")
        return
    lagging = [p.id for p in described.partitions if len(p.isr) < len(p.replicas)]
    if lagging:
        found = f"partitions {lagging} have fewer replicas in sync than they should"
        yield warning(PLACE, what, found, "look at the brokers that are away; writes may stop")
    missing = [name for operation, name in NEEDED.items() if operation not in described.authorized_operations]
    if missing:
        yield fault(PLACE, what, f"the right to {', '.join(missing)} is missing", f"ask for it on {topic}")
    else:
        yield ok(PLACE, what, f"may be read and written, {partitions} partition{'s' * (partitions != 1)}")


def judge_topic(what: str, settings: Mapping[str, str], partitions: int, stream: StreamSettings) -> Finding:
    """Compare a run's topic with what runs need.

    Parameters
    ----------
    what
        The topic.
    settings, partitions
        What it has.
    stream
        The ``[stream]`` table.
    """
    wanted = run_topic_settings(stream.retention_hours)
    wrong = {key: value for key, value in wanted.items() if settings.get(key) != value}
    if int(settings.get("max.message.bytes", 0)) >= MAX_MESSAGE_BYTES:
        wrong.pop("max.message.bytes", None)
    alter = " ".join(f"--add-config {key}={value}" for key, value in wrong.items())
    cure = f"kafka-configs.sh --alter --entity-type topics --entity-name … {alter}"
    found = ", ".join(f"{key} = {settings.get(key)}" for key in wrong)
    if {"cleanup.policy", "max.message.bytes"} & wrong.keys():
        return fault(PLACE, f"{what}: settings", f"{found}: steps would be eaten or refused", cure)
    if partitions != stream.partitions:
        found, cure = f"{partitions} partitions", f"set stream.partitions = {partitions}"
        return fault(PLACE, f"{what}: settings", found, cure)
    if wrong:
        return warning(PLACE, f"{what}: settings", found, cure)
    return ok(PLACE, f"{what}: settings", f"keep the run {_hours(settings['retention.ms'])}")


def _hours(retention_ms: str) -> str:
    return "until it is deleted" if retention_ms == "-1" else f"{int(retention_ms) / 3_600_000:g} hours"


def _check_creation(admin: AdminClient, topic: str, stream: StreamSettings) -> Finding:
    """Ask the cluster whether it would make such a topic, without making it."""
    settings = run_topic_settings(stream.retention_hours)
    new = NewTopic(
        topic, num_partitions=stream.partitions, replication_factor=stream.replication, config=settings
    )
    try:
        admin.create_topics([new], validate_only=True, operation_timeout=ASK_SECONDS)[topic].result(
            ASK_SECONDS + 5
        )
    except KafkaException as error:
        asked = ", ".join(f"{key}={value}" for key, value in settings.items())
        cure = (
            f"ask the cluster's owner for CREATE on topics lockstream.run.*, or for the topic with {asked}"
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
            else "correct stream.partitions or stream.replication"
        )
        return fault(PLACE, "making a run's topic", error.args[0].str(), cure)
    return ok(PLACE, "making a run's topic", f"allowed, {stream.partitions} partitions")


def _probe(admin: AdminClient, options: KafkaOptions, topic: str) -> Iterator[Finding]:
    """Send one record through a topic of our own, whose broker stamps it with its clock."""
    config = {"message.timestamp.type": "LogAppendTime"}
    new = NewTopic(topic, num_partitions=1, replication_factor=-1, config=config)
    try:
        admin.create_topics([new], operation_timeout=ASK_SECONDS)[topic].result(ASK_SECONDS + 5)
    except KafkaException as error:
        yield unknown(PLACE, "clocks", error.args[0].str(), f"ask for CREATE and DELETE on {topic}")
        return
    try:
        yield from judge_clocks(*_send(options, topic))
    except (KafkaException, TimeoutError) as error:
        yield fault(
            PLACE, "sending a record", str(error), "look at the brokers' logs and min.insync.replicas"
        )
    finally:
        admin.delete_topics([topic], operation_timeout=ASK_SECONDS)[topic].result(ASK_SECONDS + 5)


def _send(options: KafkaOptions, topic: str) -> tuple[float, float, float]:
    """Return when the second of two records was sent and acknowledged, and which time the broker gave it."""
    producer = confluent_kafka.Producer(client_config(options, acks="all", enable_idempotence=True))
    reports: list[tuple[KafkaError | None, float, float]] = []

    def delivered(error: KafkaError | None, message: Any) -> None:
        reports.append((error, time.time(), message.timestamp()[1] / 1000))

    sent = 0.0
    for _ in range(2):  # the first one waits for connections
        sent = time.time()
        producer.produce(topic, b"lockstream doctor", on_delivery=delivered)
        if producer.flush(ASK_SECONDS):
            producer.purge()
            raise TimeoutError(f"no acknowledgement within {ASK_SECONDS:g} s")
        if (error := reports[-1][0]) is not None:
            raise KafkaException(error)
    return sent, reports[-1][1], reports[-1][2]


def judge_clocks(sent: float, acknowledged: float, stamped: float) -> Iterator[Finding]:
    """Say how far the broker's clock is from ours.

    Parameters
    ----------
    sent, acknowledged
        Our clock when a record was sent and when the acknowledgement came, in seconds.
    stamped
        The broker's in between; it is told in whole milliseconds.
    """
    yield ok(PLACE, "sending a record", f"acknowledged after {1e3 * (acknowledged - sent):.1f} ms")
    skew = max(sent - stamped - 1e-3, stamped - acknowledged, 0.0)
    if skew > SKEW_SECONDS:
        cure = "set the clocks by NTP (chronyc tracking): times of records and retention would be wrong"
        yield warning(PLACE, "clocks", f"the broker's differs by at least {skew:.1f} s", cure)
    else:
        yield ok(PLACE, "clocks", f"the broker's agrees within {max(skew, acknowledged - sent) * 1e3:.0f} ms")


def _settings(admin: AdminClient, resource: ConfigResource) -> Mapping[str, str]:
    asked: Callable[[float], Any] = admin.describe_configs([resource], request_timeout=ASK_SECONDS)[
        resource
    ].result
    return {name: entry.value for name, entry in asked(ASK_SECONDS + 5).items()}
