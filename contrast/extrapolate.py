"""What becomes of the bridge on ten thousand ranks: from what was measured here to what nobody here can run.

Only arithmetic: parameters in, times and counts out. Every part of it is a bound that can be checked by hand;
docs/explanation/at-ten-thousand-ranks.md says what it leaves out.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from lockstream.bridge.errors import ConfigurationError

SLOTS = 3  # of a bridge: `lockstream.bridge.stream.SLOTS`, which a test holds this to
_MAY_BE_0 = frozenset({"message_seconds", "publish_seconds", "readers"})
_BEYOND = 1 << 40  # ranks; more than that is "any number"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOut:
    """A job, the machine it runs on, and the Kafka that it publishes to.

    Parameters
    ----------
    ranks, ranks_per_node
        Of the job.
    bytes_per_rank
        What one rank has of a frame.
    interval
        Seconds that the simulation computes from one frame to the next.
    tolerance
        What observing may cost the simulation, as a share of `interval`.
    message_seconds
        What a message costs the rank that receives it: the overhead o of LogP (Culler et al., 1993), as receives
        that are posted together overlap in all else.
    memory_bytes_per_second
        At which the ranks of one node bring their parts together in its memory.
    nic_bytes_per_second
        Of a node, in each direction.
    publish_seconds, publish_bytes_per_second
        A publisher's time for nothing, and its rate beyond that.
    record_bytes
        Of a tile.
    reader_bytes_per_second
        What one consumer, e.g. an archiver, takes from one partition.
    readers
        Whoever reads everything: archive, analyses.
    brokers, replication
        Of Kafka.
    broker_nic_bytes_per_second, broker_disk_bytes_per_second
        Of one broker: network in each direction, and sustained writing.
    """

    ranks: int
    bytes_per_rank: int
    interval: float
    message_seconds: float
    memory_bytes_per_second: float
    publish_seconds: float
    publish_bytes_per_second: float
    reader_bytes_per_second: float
    ranks_per_node: int = 128
    tolerance: float = 0.1
    nic_bytes_per_second: float = 12.5e9
    record_bytes: int = 1 << 19
    readers: int = 1
    brokers: int = 3
    replication: int = 3
    broker_nic_bytes_per_second: float = 12.5e9
    broker_disk_bytes_per_second: float = 2e9

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value >= 0 if field.name in _MAY_BE_0 else value > 0):
                least = "0 or more" if field.name in _MAY_BE_0 else "more than 0"
                raise ConfigurationError(field.name, value, f"must be {least}")
        if self.replication > self.brokers:
            raise ConfigurationError(
                "replication", self.replication, f"there are only {self.brokers} brokers"
            )

    @property
    def nodes(self) -> int:
        """How many nodes the ranks fill."""
        return -(-self.ranks // self.ranks_per_node)

    @property
    def bytes_per_second(self) -> float:
        """What all ranks publish."""
        return self.ranks * self.bytes_per_rank / self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """So many bridges, each for an equal part of the nodes; the figures are those of the largest part.

    Parameters
    ----------
    bridges
        How many: each gathers on a rank of its own, and has a run, a topic and a publisher of its own.
    ranks_each
        Whose blocks one of them gathers.
    message_seconds, memory_seconds, nic_seconds
        The parts of gathering a frame: receiving so many messages, bringing the own node's blocks together, and
        having the other nodes' blocks in through one NIC.
    publish_seconds
        For which one publisher is at work with a frame; the next frame is gathered meanwhile.
    cost
        What observing adds to the time from frame to frame, as a share of it.
    keeps_up
        Whether that is tolerable.
    bottleneck
        What takes longest.
    frame_bytes
        In the memory where one bridge gathers: all that its slots and its publisher hold.
    records_per_frame, partitions
        Of all bridges together.
    """

    bridges: int
    ranks_each: int
    message_seconds: float
    memory_seconds: float
    nic_seconds: float
    publish_seconds: float
    cost: float
    keeps_up: bool
    bottleneck: str
    frame_bytes: int
    records_per_frame: int
    partitions: int

    @property
    def gather_seconds(self) -> float:
        """Of a frame; all ranks wait for it, as the next step needs the one that gathers."""
        return self.message_seconds + self.memory_seconds + self.nic_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What `scale_out` has found.

    Parameters
    ----------
    given
        For which.
    one, per_node
        A single bridge, and one on each node.
    fewest
        The fewest bridges that keep up; None if not even one per node does.
    most_ranks
        How many ranks a single bridge could carry, up to 2**40; 0: not even one.
    brokers_needed
        For all that is published.
    """

    given: ScaleOut
    one: Layout
    fewest: Layout | None
    per_node: Layout
    most_ranks: int
    brokers_needed: int


def scale_out(given: ScaleOut) -> Estimate:
    """Compute what a single bridge can do, what one per node can do, and where the one gives way to the other."""
    enough = _first(1, given.nodes, lambda bridges: layout(given, bridges).keeps_up)
    beyond = _first(1, _BEYOND, lambda ranks: not layout(replace(given, ranks=ranks), 1).keeps_up)
    return Estimate(
        given=given,
        one=layout(given, 1),
        fewest=None if enough is None else layout(given, enough),
        per_node=layout(given, given.nodes),
        most_ranks=_BEYOND if beyond is None else beyond - 1,
        brokers_needed=brokers_needed(given),
    )


def layout(given: ScaleOut, bridges: int) -> Layout:
    """Compute what so many bridges do.

    A bridge's rank receives one message from each of its p - 1 others, as `bridge/gather.py` does: the linear
    gather, (p - 1) o + n / B (Hockney, 1994, for the two terms; Thakur, Rabenseifner and Gropp, Optimization of
    Collective Communication Operations in MPICH, 2005: a tree would make the first one log p, and leaves the second as
    it is, since everything has to come in through one NIC). The blocks of its own node come through the memory
    instead. The three are added: nothing is assumed to overlap.

    Gathering makes the simulation wait; publishing goes on beside it and makes it wait only once it takes longer than
    a whole interval. So from frame to frame max(interval + gather, publish) passes.
    """
    ranks = min(-(-given.nodes // bridges) * given.ranks_per_node, given.ranks)
    near = min(given.ranks_per_node, ranks)
    nbytes = ranks * given.bytes_per_rank
    out = min(given.publish_bytes_per_second, given.nic_bytes_per_second)
    parts = {
        "messages to one rank": (ranks - 1) * given.message_seconds,
        "memory of one node": near * given.bytes_per_rank / given.memory_bytes_per_second,
        "NIC of one node": (ranks - near) * given.bytes_per_rank / given.nic_bytes_per_second,
        "publisher": given.publish_seconds + nbytes / out,
    }
    *gather, publish = parts.values()
    cost = max(given.interval + sum(gather), publish) / given.interval - 1
    per_topic = math.ceil(nbytes / given.interval / given.reader_bytes_per_second)
    return Layout(
        bridges=bridges,
        ranks_each=ranks,
        message_seconds=gather[0],
        memory_seconds=gather[1],
        nic_seconds=gather[2],
        publish_seconds=publish,
        cost=cost,
        keeps_up=cost <= given.tolerance,
        bottleneck=max(parts, key=parts.__getitem__),
        frame_bytes=(SLOTS + 1) * nbytes,
        records_per_frame=bridges * (math.ceil(nbytes / given.record_bytes) + 1),
        partitions=bridges * per_topic,
    )


def brokers_needed(given: ScaleOut) -> int:
    """Compute how many brokers can take everything that is published.

    Each byte comes in once and is written `replication` times; it goes out to the other replicas and to every
    reader. Partitions are taken to be spread evenly (Kafka's documentation, Replication; Kreps, Narkhede and Rao,
    Kafka: a Distributed Messaging System for Log Processing, 2011).
    """
    rate, replication = given.bytes_per_second, given.replication
    most_in = min(given.broker_nic_bytes_per_second, given.broker_disk_bytes_per_second)
    incoming = rate * replication / most_in
    outgoing = rate * (replication - 1 + given.readers) / given.broker_nic_bytes_per_second
    return max(replication, math.ceil(max(incoming, outgoing)))


def _first(low: int, high: int, is_so: Callable[[int], bool]) -> int | None:
    """Return the first number from `low` to `high` from which on something is so; None if it never is."""
    found = bisect_left(range(low, high + 1), True, key=is_so)
    return low + found if found <= high - low else None
