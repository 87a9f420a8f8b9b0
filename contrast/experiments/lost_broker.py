"""A broker of three is lost while messages are sent, and then another one."""

import dataclasses
import itertools
import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from lockstream.contrast.experiments.rounds import Value, conclude, span
from lockstream.contrast.experiments.sending import SENDER, to_send
from lockstream.contrast.experiments.starting import await_ready
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import ProgramFailed, Rig

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient, PartitionMetadata  # type: ignore[attr-defined]

    from lockstream.kafka.broker import Cluster

ACKS = {"Kafka, acks=all": "all", "Kafka, acks=1": "1", "Kafka, acks=0": "0"}
SAFE = "Kafka, acks=all"
INVENTORY = "experiments.programs.inventory"
INTERVAL_SECONDS = 0.0005
LIMIT_SECONDS = 120.0
GAP, SENT = "longest time without an acknowledgement", "messages sent"
LOST, DOUBLE = "acknowledged messages that are lost, at worst", "messages that lie there twice, at worst"
LONGEST_CALL = "longest call of the sender"
IN_SYNC = "the lost broker's start until all copies are complete"
LEFT_SENT, LEFT_ACKNOWLEDGED = "messages sent with one broker left", "of them acknowledged"


class Times(NamedTuple):
    """Seconds of sending before the kill, until a node is missed, of sending after that, of trying in vain."""

    before: float
    session: float
    after: float
    patience: float


QUICK = Times(before=1.0, session=3.0, after=3.0, patience=2.0)
FULL = Times(before=2.0, session=9.0, after=4.0, patience=5.0)  # 9 s is Kafka's own


def run(rig: Rig) -> Experiment:
    """Lose brokers of a cluster that is made for it."""
    from lockstream.kafka.broker import embedded_cluster

    times = QUICK if rig.is_quick else FULL
    more = {
        "broker.session.timeout.ms": f"{times.session * 1000:.0f}",
        "broker.heartbeat.interval.ms": f"{times.session * 1000 / 4.5:.0f}",
    }
    with ExitStack() as stack:
        folder = rig.folder / f"cluster-{uuid.uuid4().hex[:8]}"
        cluster = stack.enter_context(embedded_cluster(folder, more=more))
        stack.callback(_kill_all, cluster)  # nothing of it is kept, and an orderly end takes seconds
        there = dataclasses.replace(rig, servers=cluster.bootstrap_servers)
        return conclude(
            rig,
            lambda: _measure(there, cluster, times),
            _say,
            worst=(LOST, DOUBLE),
            name="lost-broker",
            title="A broker is lost",
            question="What becomes of messages under way when a broker is lost, and when a second one is?",
            method=(
                "Three brokers keep three copies of every message, of which two must be written for acks=all. Three "
                f"senders, with acks=all (idempotent), 1 and 0, send a message every {span(INTERVAL_SECONDS)} when the "
                f"leader of their topics gets SIGKILL; the others miss it after {times.session:.0f} s. Then the second "
                f"is killed, and a sender with acks=all tries for {span(times.patience)}; then both come back."
            ),
        )


def _measure(rig: Rig, cluster: "Cluster", times: Times) -> list[Outcome]:
    messages = round((times.before + times.session + times.after) / INTERVAL_SECONDS)
    topics = {subject: _topic(cluster) for subject in ACKS}
    with ExitStack() as stack:
        senders = {
            subject: stack.enter_context(rig.beside(SENDER, _to_send(rig, topics[subject], messages, acks)))
            for subject, acks in ACKS.items()
        }
        await_ready(*senders.values())
        time.sleep(times.before)
        leader = int(
            _partition(cluster, topics[SAFE]).leader
        )  # the first, if none was taken for dead meanwhile
        cluster.kill(leader)
        sent = {subject: sender.answer(LIMIT_SECONDS) for subject, sender in senders.items()}
    kept = _kept(rig, topics)
    second = next(node for node in cluster.nodes if node != leader)
    cluster.kill(second)
    left = rig.alone(SENDER, _to_send_in_vain(rig, topics[SAFE], times.patience), LIMIT_SECONDS)
    cluster.start(second)
    began = time.monotonic()
    cluster.start(leader)
    _await_in_sync(cluster, topics[SAFE])
    in_sync = time.monotonic() - began
    return [
        *(outcome for subject in ACKS for outcome in _outcomes(subject, sent[subject], kept[subject])),
        Outcome(subject=SAFE, quantity=IN_SYNC, value=in_sync, unit="s"),
        Outcome(subject=SAFE, quantity=LEFT_SENT, value=len(left["sent"]), unit="messages"),
        Outcome(
            subject=SAFE,
            quantity=LEFT_ACKNOWLEDGED,
            value=left["acknowledged"],
            unit="messages",
            note=", ".join(left["refusals"]),
        ),
        Outcome(
            subject="MPI",
            quantity=GAP,
            value=None,
            unit="s",
            note="nobody stands between sender and receiver: what can be lost is one of them, and the job with it",
        ),
    ]


def _kill_all(cluster: "Cluster") -> None:
    for node in filter(cluster.is_up, cluster.nodes):
        cluster.kill(node)


def _topic(cluster: "Cluster") -> str:
    """Make a topic of one partition, with a copy on every node; the first one leads it."""
    from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

    name = f"contrast.{uuid.uuid4().hex[:12]}"
    config = {"min.insync.replicas": "2"}
    new = NewTopic(name, num_partitions=1, replica_assignment=[list(cluster.nodes)], config=config)
    admin = _admin(cluster)  # has to live until the answer is here
    admin.create_topics([new], operation_timeout=30)[name].result(60)
    return name


def _admin(cluster: "Cluster") -> "AdminClient":
    from lockstream.bridge.client import admin_client

    return admin_client({"bootstrap.servers": cluster.bootstrap_servers})


def _partition(cluster: "Cluster", topic: str) -> "PartitionMetadata":
    """Return what the cluster says of the one partition of `topic`."""
    return _admin(cluster).list_topics(topic, timeout=30).topics[topic].partitions[0]


def _to_send(rig: Rig, topic: str, messages: int, acks: str) -> dict[str, Any]:
    idempotent = acks == "all"  # without, Kafka may have a message twice that was acknowledged late
    return to_send(rig, topic, messages, interval=INTERVAL_SECONDS, acks=acks, enable_idempotence=idempotent)


def _to_send_in_vain(rig: Rig, topic: str, patience: float) -> dict[str, Any]:
    return to_send(rig, topic, 100, interval=0.01, acks="all", message_timeout_ms=int(patience * 1000))


def _kept(rig: Rig, topics: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the numbers of the messages that lie in each topic."""
    with ExitStack() as stack:
        readers = {
            subject: stack.enter_context(rig.beside(INVENTORY, {"servers": rig.servers, "topic": topic}))
            for subject, topic in topics.items()
        }
        answers = {subject: reader.answer(LIMIT_SECONDS) for subject, reader in readers.items()}
    return {subject: [int(number) for number in answer["numbers"]] for subject, answer in answers.items()}


def _outcomes(subject: str, sent: dict[str, Any], kept: list[int]) -> list[Outcome]:
    acknowledged = {number for number, wait in enumerate(sent["waits"]) if wait is not None}
    moments = sorted(
        at + wait for at, wait in zip(sent["sent"], sent["waits"], strict=True) if wait is not None
    )
    gap = max((after - before for before, after in itertools.pairwise(moments)), default=None)
    return [
        Outcome(subject=subject, quantity=GAP, value=gap, unit="s"),
        Outcome(subject=subject, quantity=SENT, value=len(sent["sent"]), unit="messages"),
        Outcome(subject=subject, quantity=LOST, value=len(acknowledged - set(kept)), unit="messages"),
        Outcome(subject=subject, quantity=DOUBLE, value=len(kept) - len(set(kept)), unit="messages"),
        Outcome(subject=subject, quantity=LONGEST_CALL, value=max(sent["calls"]), unit="s"),
    ]


def _await_in_sync(cluster: "Cluster", topic: str) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while len(_partition(cluster, topic).isrs) < len(cluster.nodes):
        if time.monotonic() > limit:
            raise ProgramFailed(f"the copies of {topic} were not complete within {LIMIT_SECONDS:.0f} s")
        time.sleep(0.05)


def _say(value: Value) -> str:
    lost = ", ".join(
        f"{value(subject, LOST):.0f} of {value(subject, SENT):.0f} with acks={acks}"
        for subject, acks in ACKS.items()
    )
    return (
        f"When the leader is killed, nothing is acknowledged for {span(value(SAFE, GAP))}, no call of the sender takes "
        f"longer than {span(value(SAFE, LONGEST_CALL))}, and of what was acknowledged {lost} are lost at worst; with "
        f"one broker left of three {value(SAFE, LEFT_ACKNOWLEDGED):.0f} of {value(SAFE, LEFT_SENT):.0f} messages are "
        f"accepted; the lost one has all it missed {span(value(SAFE, IN_SYNC))} after its start."
    )
