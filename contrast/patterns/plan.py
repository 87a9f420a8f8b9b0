"""What is measured of the patterns, and how long it may take."""

from dataclasses import dataclass

from lockstream.contrast.patterns.contest import Way
from lockstream.contrast.patterns.in_mpi import PATTERNS
from lockstream.contrast.patterns.payload import REDUCTIONS, delivered_bytes

KIB, MIB = 1 << 10, 1 << 20
MOST_EXCHANGE_BYTES = 256 * MIB  # brought by one exchange: what else is there for memory and disk
SMALLEST_SUM = 8  # one double

STYLES = (Way(style="mpi"), Way(style="kafka"))

WARM_SIZES = (KIB, MIB)

# Idempotence insists on acks=all; and without it many more requests may be under way, each with fewer records.
_UNSURE = {"enable.idempotence": False, "max.in.flight": 5}
SETTINGS = (  # of a point-to-point exchange in Kafka; the usual one of each dimension first
    Way(style="kafka", dimension="acks", setting="all (here of one replica)"),
    Way(style="kafka", dimension="acks", setting="1", producer={**_UNSURE, "acks": "1"}),
    Way(style="kafka", dimension="acks", setting="0", producer={**_UNSURE, "acks": "0"}),
    Way(style="kafka", dimension="linger", setting="0 ms"),
    Way(style="kafka", dimension="linger", setting="5 ms", producer={"linger.ms": 5}),
    Way(style="kafka", dimension="linger", setting="50 ms", producer={"linger.ms": 50}),
    Way(style="kafka", dimension="compression", setting="none"),
    *(
        Way(style="kafka", dimension="compression", setting=codec, producer={"compression.type": codec})
        for codec in ("lz4", "zstd", "gzip")
    ),
    Way(style="kafka", dimension="fsync", setting="when the system likes"),
    Way(style="kafka", dimension="fsync", setting="each append", topic={"flush_messages": "1"}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of it.

    Parameters
    ----------
    participants
        Numbers of them.
    sizes, streamed
        Bytes of messages, and which of them are streamed, too.
    fewer_sizes
        Those between more than the fewest participants; as many, if there are none.
    latency_seconds
        For both styles' latencies, in one pattern of one size.
    stream_seconds, streams
        Of each stream, and how many of them each style has.
    settings_sizes
        With which the settings of Kafka are tried.
    settings_seconds
        For the latencies of all settings with one size.
    warm_seconds
        That exchanges go on which do not count: the broker's virtual machine compiles what is used often.
    timeout
        For all of one number of participants, on a machine that does much else.
    """

    participants: tuple[int, ...]
    sizes: tuple[int, ...]
    fewer_sizes: tuple[int, ...] = ()
    streamed: tuple[int, ...]
    latency_seconds: float
    stream_seconds: float
    streams: int
    settings_sizes: tuple[int, ...] = (KIB, MIB)
    settings_seconds: float
    warm_seconds: float
    timeout: float


QUICK = Plan(
    participants=(2, 3),
    sizes=(1, KIB, 64 * KIB, MIB, 8 * MIB),
    fewer_sizes=(1, 64 * KIB, MIB),
    streamed=(MIB,),
    latency_seconds=0.2,
    stream_seconds=0.04,
    streams=3,
    settings_sizes=(KIB,),
    settings_seconds=1.0,
    warm_seconds=1.0,
    timeout=600,
)
FULL = Plan(
    participants=(2, 4, 8),
    sizes=(1, 64, KIB, 8 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB, 64 * MIB),
    streamed=(KIB, 64 * KIB, MIB, 16 * MIB),
    latency_seconds=2.0,
    stream_seconds=0.2,
    streams=6,
    settings_seconds=15.0,
    warm_seconds=5.0,
    timeout=3600,
)


def sizes_of(plan: Plan, participants: int) -> dict[str, tuple[int, ...]]:
    """Return the sizes of each pattern: doubles to be summed, nothing at barriers, and never too much at once.

    Between two participants alone there is a point-to-point exchange.
    """
    are_fewest = participants == min(plan.participants)
    sizes = plan.sizes if are_fewest else plan.fewer_sizes or plan.sizes
    return {
        pattern: _sizes(sizes, pattern, participants)
        for pattern in PATTERNS
        if pattern != "point-to-point" or are_fewest
    }


def _sizes(sizes: tuple[int, ...], pattern: str, participants: int) -> tuple[int, ...]:
    if pattern == "barrier":
        return (0,)
    smallest = SMALLEST_SUM if pattern in REDUCTIONS else 1
    return tuple(
        max(nbytes, smallest)
        for nbytes in sizes
        if delivered_bytes(pattern, nbytes, participants) <= MOST_EXCHANGE_BYTES
    )
