"""The program that runs on the participants: both styles race through patterns and sizes."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from lockstream.contrast.cpu import on_any_core
from lockstream.contrast.patterns import in_kafka, in_mpi
from lockstream.contrast.patterns.meeting import Meeting
from lockstream.contrast.patterns.party import USUAL, Party
from lockstream.contrast.patterns.payload import delivered_bytes, payload
from lockstream.contrast.patterns.race import Contestant, Race
from lockstream.contrast.results import Measurement, Style, Throughput
from lockstream.contrast.rig import asked, lent_topic, reply, world
from lockstream.contrast.statistics import throughput

if TYPE_CHECKING:
    from mpi4py import MPI


ENTROPY_BYTES = 1 << 16  # a stream repeats its message: a batch of several would shrink to one of them


class Way(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A contestant.

    Parameters
    ----------
    style
        "mpi" or "kafka".
    dimension, setting
        How it differs from the usual way of its style.
    producer, topic
        Settings of Kafka that make the difference; those of topics with _ for the dots.
    """

    style: Style
    dimension: str = ""
    setting: str = ""
    producer: dict[str, Any] = msgspec.field(default_factory=dict)
    topic: dict[str, str] = msgspec.field(default_factory=dict)


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be measured.

    Parameters
    ----------
    servers, broker_pid
        Of the Kafka.
    ways
        The contestants; all do each exchange.
    sizes
        Bytes of a message, for each pattern.
    streamed
        Sizes that are streamed too.
    latency_seconds
        For the latencies of all, in one pattern of one size.
    stream_seconds, streams
        Of each stream, and how many of them each way has.
    """

    servers: str
    broker_pid: int
    ways: tuple[Way, ...]
    sizes: dict[str, tuple[int, ...]]
    streamed: tuple[int, ...]
    latency_seconds: float
    stream_seconds: float
    streams: int


def main() -> None:
    """Do what is asked, on all ranks."""
    with world() as comm:
        order = msgspec.convert(asked(), Order)
        cores = os.sched_getaffinity(0)
        if comm.size <= len(cores):
            os.sched_setaffinity(0, {sorted(cores)[comm.rank]})
        gc.disable()  # its pauses are nobody's latency
        meeting = Meeting(comm, len(cores))
        found: list[Measurement] = []
        for pattern, sizes in order.sizes.items():
            with contestants(comm, order, pattern, cores) as field:
                for nbytes in sizes:
                    found += measured(meeting, order, field, pattern, nbytes)
            if comm.rank == 0:
                print(pattern, flush=True)  # noqa: T201  to whoever waits for the answer
        if comm.rank == 0:
            reply(found)


@contextmanager
def contestants(
    comm: MPI.Intracomm, order: Order, pattern: str, cores: set[int]
) -> Iterator[list[Contestant]]:
    """Make the contestants ready for one pattern."""
    with ExitStack() as stack:
        yield [
            Contestant(partial(in_mpi.PATTERNS[pattern], comm), lambda: None)
            if way.style == "mpi"
            else _in_kafka(stack, comm, order, way, pattern, cores)
            for way in order.ways
        ]


def _in_kafka(
    stack: ExitStack, comm: MPI.Intracomm, order: Order, way: Way, pattern: str, cores: set[int]
) -> Contestant:
    lent = lent_topic(order.servers, comm.size, **way.topic) if comm.rank == 0 else nullcontext("")
    topic = comm.bcast(stack.enter_context(lent))
    with on_any_core(cores):
        party = Party(order.servers, topic, comm.rank, comm.size, {**USUAL, **way.producer})
    stack.enter_context(party)
    helper = order.broker_pid if comm.rank == 0 else 0
    return Contestant(partial(in_kafka.PATTERNS[pattern], party), party.settle, helper)


def measured(
    meeting: Meeting, order: Order, field: list[Contestant], pattern: str, nbytes: int
) -> Iterator[Measurement]:
    """Yield what each contestant does, in one pattern and size."""
    race = Race(meeting, payload(pattern, nbytes, meeting.rank, meeting.size), field)
    latencies = race.latencies(order.latency_seconds)
    delivered = delivered_bytes(pattern, nbytes, meeting.size)
    rates: list[Throughput | None] = [None] * len(field)
    if nbytes in order.streamed and delivered:
        typical = [taken.median for taken in latencies]
        streams = race.streams(delivered, typical, order.stream_seconds, order.streams)
        rates = [throughput(same) for same in streams]
    for way, taken, brought in zip(order.ways, latencies, rates, strict=True):
        yield Measurement(
            pattern=pattern,
            style=way.style,
            nbytes=nbytes,
            participants=meeting.size,
            latency=taken,
            dimension=way.dimension,
            setting=way.setting,
            throughput=None if way.dimension == "compression" and nbytes < ENTROPY_BYTES else brought,
        )


if __name__ == "__main__":
    main()
