"""The patterns measured: latency, throughput and processor time of each, in both styles."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from lockstream.contrast.patterns.contest import Order
from lockstream.contrast.patterns.plan import FULL, QUICK, SETTINGS, STYLES, WARM_SIZES, sizes_of
from lockstream.contrast.results import Measurement
from lockstream.contrast.rig import Rig, crowd

PROGRAM = "patterns.contest"


def measure(rig: Rig, say: Callable[[str], None]) -> tuple[Measurement, ...]:
    """Race both styles through all patterns, and Kafka's settings against each other.

    Parameters
    ----------
    rig
        Where.
    say
        Is told what is going on, a line at a time.

    Returns
    -------
    tuple of Measurement
        Those of the settings have a `dimension`.

    Raises
    ------
    ProgramFailed
        An exchange failed, or did not bring what was due.
    """
    plan = QUICK if rig.is_quick else FULL
    usual = Order(
        servers=rig.servers,
        broker_pid=rig.broker_pid,
        ways=STYLES,
        sizes={"point-to-point": WARM_SIZES},
        streamed=WARM_SIZES,
        latency_seconds=plan.warm_seconds / 4,
        stream_seconds=plan.warm_seconds / 4,
        streams=1,
    )
    _raced(rig, 2, usual, plan.timeout, lambda _: None)
    found: list[Measurement] = []
    for participants in plan.participants:
        order = replace(
            usual,
            sizes=sizes_of(plan, participants),
            streamed=plan.streamed,
            latency_seconds=plan.latency_seconds,
            stream_seconds=plan.stream_seconds,
            streams=plan.streams,
        )
        found += _raced(rig, participants, order, plan.timeout, say)
    say("acknowledgements, linger, compression and fsync of Kafka")
    order = replace(
        usual,
        ways=SETTINGS,
        sizes={"point-to-point": plan.settings_sizes},
        streamed=plan.settings_sizes,
        latency_seconds=plan.settings_seconds,
        stream_seconds=plan.stream_seconds,
        streams=plan.streams,
    )
    return (*found, *_raced(rig, 2, order, plan.timeout, lambda _: None))


def _raced(
    rig: Rig, participants: int, order: Order, timeout: float, say: Callable[[str], None]
) -> tuple[Measurement, ...]:
    answer = rig.on_ranks(
        participants,
        PROGRAM,
        msgspec.to_builtins(order),
        timeout,
        lambda pattern: say(f"{pattern} between {participants}"),
    )
    note = crowd(participants)
    return tuple(
        replace(measurement, note=note) for measurement in msgspec.convert(answer, tuple[Measurement, ...])
    )
