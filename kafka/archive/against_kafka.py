"""The archive against the log it was made from: read again, offset by offset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer

from lockstream.bridge.client import KafkaOptions
from lockstream.bridge.messages import RunStarted
from lockstream.kafka.archive.account import GROUP
from lockstream.kafka.archive.recovery import open_sealed
from lockstream.kafka.archive.verify import FaultFound
from lockstream.kafka.archive.view import RunView, ledger_of, view_run
from lockstream.kafka.assembler import StepAssembler
from lockstream.kafka.events import Repeated, Step
from lockstream.kafka.log import Cluster, Topic, offsets_available, read_range, reader


def compare_with_kafka(run_folder: Path, options: KafkaOptions) -> list[FaultFound]:
    """Read a run's topic from its beginning and compare each step with the archive.

    What retention has deleted since cannot be compared any more and is not a fault.

    Raises
    ------
    NoSuchRun
        If Kafka has no such topic.
    LogUnavailable
        If Kafka does not answer.
    """
    view = view_run(run_folder)
    topic = Cluster(options).topic(view.source.run)
    if (topic.topic_id, topic.cluster_id) != (view.source.topic_id, view.source.cluster_id):
        what = f"was archived from topic id {view.source.topic_id}, Kafka now has {topic.topic_id} under that name"
        return [FaultFound(file=str(run_folder), run=topic.run, what=what)]
    consumer = reader(options, enable_partition_eof=True)
    try:
        return list(_compare(run_folder, view, topic, consumer))
    finally:
        consumer.close()


def _compare(run_folder: Path, view: RunView, topic: Topic, consumer: Consumer) -> Iterator[FaultFound]:
    archived = digests_of(view)
    reached = view.next_offsets
    about: dict[str, Any] = {"file": str(run_folder), "run": topic.run}
    seen: set[tuple[int, int]] = set()
    is_whole = True
    for partition in range(topic.partitions):
        low, high = offsets_available(consumer, topic.name, partition)
        is_whole = is_whole and low == 0
        assembler = StepAssembler(topic.run, _attempt_at(view, partition, low) if low else None)
        for record in read_range(consumer, topic.name, partition, low, high):
            for event in assembler.feed(record.offset, record.headers, record.value):
                if not isinstance(event, Step) or _is_no_news(event, seen, low):
                    continue
                key = (event.manifest.attempt, event.manifest.step)
                seen.add(key)
                where = {**about, "attempt": key[0], "step": key[1], "partition": partition}
                offsets = (event.offsets[0], event.offsets[-1])
                if key not in archived and not view.is_superseded(*key):
                    what = (
                        f"step {key[1]} is in Kafka at offsets {offsets[0]}..{offsets[1]}, not in the archive"
                    )
                    yield FaultFound(**where, offsets=offsets, what=what)
                elif archived.get(key, event.manifest.digest) != event.manifest.digest:
                    what = (
                        f"step {key[1]} differs from the one in Kafka at offsets {offsets[0]}..{offsets[1]}"
                    )
                    yield FaultFound(**where, offsets=offsets, what=what)
        if reached.get(partition, 0) > high:
            what = (
                f"the archive accounts for offsets up to {reached[partition] - 1}, Kafka ends at {high - 1}"
            )
            yield FaultFound(**about, partition=partition, what=what)
        elif reached.get(partition, 0) < high and view.ended:
            rest = (reached.get(partition, 0), high - 1)
            what = f"offsets {rest[0]}..{rest[1]} came after the run ended and are not accounted for"
            yield FaultFound(**about, partition=partition, offsets=rest, what=what)
    for attempt, step in sorted(set(archived) - seen) if is_whole else ():
        yield FaultFound(
            **about, attempt=attempt, step=step, what=f"step {step} is in the archive, not in Kafka"
        )


def _is_no_news(event: Step, seen: set[tuple[int, int]], low: int) -> bool:
    """Whether a step came before; one that is not beyond the last is archived only if it was missing until then."""
    manifest, after_step = event.manifest, event.started.after_step
    is_late = isinstance(event, Repeated)
    return is_late and ((manifest.attempt, manifest.step) in seen or low > 0 or manifest.step <= after_step)


def _attempt_at(view: RunView, partition: int, offset: int) -> RunStarted | None:
    """The attempt at hand at an offset whose ``run-started`` retention has deleted."""
    entries = (e for e in ledger_of(view) if e.partition == partition and e.first <= offset < e.stop)
    known = {started.attempt: started for started in view.attempts}
    return next((known[e.attempt] for e in entries if e.attempt in known), None)


def digests_of(view: RunView) -> dict[tuple[int, int], str]:
    """Digest of every step in the files by attempt and step, those of replaced attempts if they are there."""
    digests: dict[tuple[int, int], str] = {}
    for sealed in view.files:
        if len(sealed.steps):
            with open_sealed(sealed.path) as file:
                keys = zip(sealed.attempts.tolist(), sealed.steps.tolist(), strict=True)
                digests.update(
                    zip(keys, (d.decode() for d in file[f"{GROUP}/digest"][()].tolist()), strict=True)
                )
    return digests
