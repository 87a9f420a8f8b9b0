"""The server.properties of the embedded broker: each setting that differs from Kafka's default, and why."""

from collections.abc import Mapping
from typing import NamedTuple

from lockstream.kafka.broker.membership import Membership

NOTHING: Mapping[str, str] = {}
COPIES = 3  # of everything, in a cluster


class Detour(NamedTuple):
    """A second way to the broker, through a relay.

    Parameters
    ----------
    relay
        Port of the relay; who comes through it is sent on to that port.
    port
        Port behind the relay, on which the broker listens too.
    protocol
        Kafka's name of what is spoken there.
    """

    relay: int
    port: int
    protocol: str = "PLAINTEXT"


_TEMPLATE = """\
# Written by `lockstream broker start`, anew at each start: what is changed here is lost.
# Paths are relative to this folder, where the broker runs, so that the folder can be moved.

# A node is broker and controller at once (KRaft).
process.roles=broker,controller
node.id={number}
{quorum}
controller.listener.names=CONTROLLER

# This interface only: there is neither encryption nor authentication here.
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}{listening}
advertised.listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}{advertised}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,DETOUR:{protocol}
inter.broker.listener.name=BROKER

log.dirs=data

# {copies_why}
default.replication.factor={copies}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}

# 50 partitions each by default, to spread load over many nodes: here only files and start-up time.
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.num.partitions=1

# Keep everything until it is deleted on purpose: Kafka's default of 7 days would eat a run
# that nobody has archived yet. A topic may still have a limit of its own.
log.retention.ms=-1

# A topic is made with settings that were thought about, never by a misspelt name.
auto.create.topics.enable=false

# A tile is at most 1 MiB; its headers, and a manifest that lists many tiles, need room too.
message.max.bytes=2097152

# A consumer group of a few local processes need not wait 3 s for more of them.
group.initial.rebalance.delay.ms=0

{session}# 128 MiB of the heap by default, for compacting topics with millions of keys.
log.cleaner.dedupe.buffer.size=8388608
"""


_SHORT_SESSION = """\
# After a crash the node refuses its own successor until the old session has run out (9 s by default).
# With one node nobody else can take over, so a short session costs nothing.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=1000

"""


def server_properties(
    membership: Membership, detour: Detour | None = None, more: Mapping[str, str] = NOTHING
) -> str:
    """Return the text of server.properties for a node.

    One that is alone makes its quorum known as a way to it, so that the quorum may grow. The voters of a cluster are
    all its nodes, as they are where they are now: they may have moved since the last start.
    """
    here = membership.address
    ports = (detour.port, detour.relay) if detour else ()
    listening, advertised = (f",DETOUR://{here.host}:{number}" for number in ports) if ports else ("", "")
    return _TEMPLATE.format(
        host=here.host,
        port=here.port,
        controller_port=here.controller_port,
        number=membership.number,
        quorum=_quorum(membership),
        copies=1 if membership.is_alone else COPIES,
        in_sync=1 if membership.is_alone else COPIES - 1,
        copies_why="One node holds the only copy, of the internal topics too."
        if membership.is_alone
        else "What is acknowledged is on two nodes at least, so that any one may be lost.",
        session=_SHORT_SESSION if membership.is_alone else "",
        listening=listening,
        advertised=advertised,
        protocol=detour.protocol if detour else "PLAINTEXT",
    ) + "".join(f"{key}={value}\n" for key, value in more.items())


def _quorum(membership: Membership) -> str:
    here = membership.address
    if membership.is_alone:
        return f"controller.quorum.bootstrap.servers={here.host}:{here.controller_port}"
    voters = enumerate(membership.addresses, start=1)
    named = ",".join(f"{number}@{there.host}:{there.controller_port}" for number, there in voters)
    return f"controller.quorum.voters={named}"
