"""Eight patterns of exchange in Kafka, each with a topic of its own.

`mine` is what a participant gives and `got` what it is due, one row per partner where there is one each. What a
participant owes itself does not go through the broker, but for what all read from one log.
"""

from collections.abc import Callable, Mapping

from lockstream.contrast.patterns.party import Party
from lockstream.contrast.patterns.payload import ROOT, Array

LOG = 0  # the one partition where all read the same


def point_to_point(kafka: Party, mine: Array, got: Array) -> None:
    """One partition: the first one writes it, the last one reads it."""
    if kafka.rank == ROOT:
        kafka.produce(mine, partition=LOG)
    elif kafka.rank == kafka.size - 1:
        kafka.consume(got, sender=ROOT, partition=LOG)


def broadcast(kafka: Party, mine: Array, got: Array) -> None:
    """One partition, written once: every consumer reads it."""
    if kafka.rank == ROOT:
        kafka.produce(mine, partition=LOG)
    else:
        kafka.consume(got, sender=ROOT, partition=LOG)


def scatter(kafka: Party, mine: Array, got: Array) -> None:
    """One partition per receiver, each of them reads its own."""
    if kafka.rank == ROOT:
        for receiver in kafka.others:
            kafka.produce(mine[receiver], partition=receiver)
        got[:] = mine[ROOT]
    else:
        kafka.consume(got, sender=ROOT, partition=kafka.rank)


def gather(kafka: Party, mine: Array, got: Array) -> None:
    """All write one partition, with their rank as the key; one consumer sorts what comes by it."""
    if kafka.rank == ROOT:
        got[ROOT] = mine
        for sender in kafka.others:
            kafka.consume(got[sender], sender=sender, partition=LOG)
    else:
        kafka.produce(mine, partition=LOG)


def reduce(kafka: Party, mine: Array, got: Array) -> None:
    """All write one partition; one consumer folds the records in the senders' order."""
    if kafka.rank == ROOT:
        got[:] = mine
        for sender in kafka.others:
            kafka.fold(got, sender=sender, partition=LOG)
    else:
        kafka.produce(mine, partition=LOG)


def all_reduce(kafka: Party, mine: Array, got: Array) -> None:
    """All write one partition, and all fold all of it, in the same order: one hop instead of two."""
    kafka.produce(mine, partition=LOG)
    got[:] = 0
    for sender in range(kafka.size):
        kafka.fold(got, sender=sender, partition=LOG)


def all_to_all(kafka: Party, mine: Array, got: Array) -> None:
    """One partition per receiver, all write into all of them, with their rank as the key."""
    for receiver in kafka.others:
        kafka.produce(mine[receiver], partition=receiver)
    got[kafka.rank] = mine[kafka.rank]
    for sender in kafka.others:
        kafka.consume(got[sender], sender=sender, partition=kafka.rank)


def barrier(kafka: Party, mine: Array, got: Array) -> None:
    """All write an empty record, and each one counts until it has read one of everybody."""
    kafka.produce(mine, partition=LOG)
    for sender in range(kafka.size):
        kafka.consume(got, sender=sender, partition=LOG)


PATTERNS: Mapping[str, Callable[[Party, Array, Array], None]] = {
    "point-to-point": point_to_point,
    "broadcast": broadcast,
    "scatter": scatter,
    "gather": gather,
    "reduce": reduce,
    "all-reduce": all_reduce,
    "all-to-all": all_to_all,
    "barrier": barrier,
}
