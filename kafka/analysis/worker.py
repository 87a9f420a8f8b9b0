"""The analysis worker: one of a group that shares the partitions of all runs.

Kafka gives each partition to exactly one worker of the group, and to another when that one leaves or dies.
A worker commits the boundary of a step only after the results of everything before it were acknowledged, and
the end of a run only after its file was written: whoever takes over repeats a little and leaves out nothing.
"""

import logging
import os
import platform
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Event as Flag
from time import monotonic

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from lockstream.bridge.client import KafkaOptions, admin_client, first_contact, servers_of
from lockstream.bridge.errors import LockstreamError
from lockstream.bridge.messages import RunStarted
from lockstream.kafka.analysis.analyser import Analyser
from lockstream.kafka.analysis.errors import FieldNotAnalysable
from lockstream.kafka.analysis.group import (
    all_over,
    committed_offsets,
    group_consumer,
    read_started,
    run_of,
    subscription,
)
from lockstream.kafka.analysis.kept import keep_run
from lockstream.kafka.analysis.messages import SpectrumResult
from lockstream.kafka.analysis.partition import PartitionAnalysis
from lockstream.kafka.analysis.position import Position
from lockstream.kafka.analysis.results import ResultsWriter, prepare_results_topic
from lockstream.kafka.analysis.settings import AnalysisSettings
from lockstream.kafka.events import Ended, Event, Until
from lockstream.kafka.log import reader, record_of

COMMIT_SECONDS = 0.5
POLL_SECONDS = 0.25

Found = Event | SpectrumResult | LockstreamError | Path
Report = Callable[[str, Found], None]
_log = logging.getLogger(__name__)


class Worker:
    """Analyses runs live, together with the other workers of its group.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    settings
        The ``[analysis]`` table.
    archive
        The archive folder.
    runs
        Which runs; empty means all, those included that begin later. A run that was named and cannot be
        analysed is an error, any other is left out.
    until
        End when all of these are over; empty means never.
    end
        When that is: they have ``ended`` in whatever way, or they are ``completed``.
    report
        Called with run and finding for everything that is settled: events of the log, results, why a run has
        to be left out, and files that were written.

    Raises
    ------
    BrokerUnreachable
        If nobody answers.
    UserError
        If a name cannot be a run's, or the results topic is not there and cannot be made, or would lose results.
    """

    def __init__(
        self,
        options: KafkaOptions,
        settings: AnalysisSettings,
        archive: Path,
        runs: Collection[str] = (),
        until: Collection[str] = (),
        report: Report = lambda _run, _found: None,
        end: Until = "ended",
    ) -> None:
        self._subscription = subscription(runs)
        admin = admin_client(options)
        first_contact(admin, servers_of(options))
        self.name = f"{platform.node()}-{os.getpid()}"
        self._topic = prepare_results_topic(admin, settings)
        self._options, self._settings, self._archive, self._report = options, settings, archive, report
        self._named, self._until, self._end = bool(runs), frozenset(until), end
        self._writer = ResultsWriter(options, self._topic)
        # The one in the group has a fetch under way at any time, behind which questions wait half a second.
        self._reader = reader(options, settings.group, enable_partition_eof=True)
        self._is_leaving = False
        self._partitions: dict[tuple[str, int], PartitionAnalysis] = {}
        self._ended: dict[str, PartitionAnalysis] = {}  # runs whose file is due
        self._unkept: dict[str, PartitionAnalysis] = {}  # runs with results that no file has yet

    def follow(self, stop: Flag) -> bool:
        """Analyse until the runs of `until` have ended, or `stop` is set.

        Returns
        -------
        bool
            True if they have, and everything of them is analysed, by this worker or another of the group.

        Raises
        ------
        FieldNotAnalysable
            If a named run does not have the field.
        LogUnavailable
            If a named run cannot be read, or Kafka does not answer any more.
        DeliveryFailed
            If a result could not be delivered.
        ArchiveUnwritable
            If a file could not be written.
        """
        consumer = group_consumer(self._options, self._settings.group)
        try:
            consumer.subscribe(
                [self._subscription],
                on_assign=self._begin,
                on_revoke=self._hand_over,
                on_lost=self._forget,
            )
            is_complete = self._loop(consumer, stop)
            self._settle(consumer)
            for run in list(self._unkept):
                self._keep(run, self._unkept[run])
            return is_complete
        finally:
            self._is_leaving = True
            self._partitions.clear()
            self._writer.abandon()
            consumer.close()
            self._reader.close()

    def _loop(self, consumer: Consumer, stop: Flag) -> bool:
        due = monotonic() + COMMIT_SECONDS
        while not stop.is_set():
            if (message := consumer.poll(POLL_SECONDS)) is not None:
                self._take(message)
            if monotonic() >= due:
                self._settle(consumer)
                if self._is_complete():
                    return True
                due = monotonic() + COMMIT_SECONDS
        return False

    def _is_complete(self) -> bool:
        mine = (part.position for part in self._partitions.values() if part.run in self._until)
        all_mine_over = all(position is not None and position.is_over(self._end) for position in mine)
        return bool(self._until) and all_mine_over and all_over(self._reader, self._until, self._end)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None and error.code() in _PASSING:
            _log.info("%s", error.str())
            return
        try:
            record = record_of(message)
        except LockstreamError as reason:
            if self._named or not (topic := message.topic()):
                raise
            self._report(run_of(topic), reason)
            return
        part = self._partitions.get((record.topic, record.partition)) if record else None
        if record is None or part is None:
            return  # an error that passes, or a partition that is another's by now
        timestamp = message.timestamp()[1]
        for found in part.take(record.offset, timestamp, record.headers, record.value):
            if isinstance(found, SpectrumResult):
                self._writer.write(found, timestamp)
                self._unkept[part.run] = part
            elif isinstance(found, Ended):
                self._ended[part.run] = part
            self._report(part.run, found)

    def _settle(self, consumer: Consumer) -> None:
        """Have the results acknowledged, write the files that are due, and only then commit."""
        moved = [(key, part, part.uncommitted) for key, part in self._partitions.items()]
        positions = {key: (part, position) for key, part, position in moved if position is not None}
        if not positions or not self._writer.flush():
            return  # nothing to do, or Kafka is slow: again at the next look
        while self._ended:
            self._keep(*self._ended.popitem())
        try:
            offsets = [position.committed(*key) for key, (_, position) in positions.items()]
            for stored in consumer.commit(offsets=offsets, asynchronous=False) or ():
                part, position = positions[stored.topic, stored.partition]
                if stored.error is None:
                    part.mark_committed(position)
        except KafkaException as error:  # the group is being shared out anew: again at the next look
            _log.info("not committed: %s", error.args[0].str())

    def _keep(self, run: str, part: PartitionAnalysis) -> None:
        self._unkept.pop(run, None)
        if part.field is not None and part.position is not None:
            path = keep_run(self._reader, self._topic, self._archive, run, part.field, part.position.since)
            if path is not None:
                self._report(run, path)

    def _begin(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        if self._is_leaving:  # the group is shared out anew while we say goodbye: it goes on to another
            return
        placed = []
        for committed in committed_offsets(self._reader, assigned):
            part = self._resume(committed)
            self._partitions[committed.topic, committed.partition] = part
            offset = part.position.offset if part.position else OFFSET_BEGINNING
            placed.append(TopicPartition(committed.topic, committed.partition, offset))
        consumer.incremental_assign(placed)

    def _resume(self, committed: TopicPartition) -> PartitionAnalysis:
        run, position, started = run_of(committed.topic), Position.read(committed), None
        if position and position.started >= 0 and not position.ended:
            try:
                started = read_started(self._reader, committed.topic, committed.partition, position.started)
            except LockstreamError as error:
                _log.warning("run %s is analysed from its beginning: %s", run, error)
                position = None
        return PartitionAnalysis(run, self._make_analyser, position, started)

    def _make_analyser(self, started: RunStarted) -> Analyser | None:
        try:
            return Analyser(started, self._settings.field, self.name)
        except FieldNotAnalysable as error:
            if self._named:
                raise
            self._report(started.run, error)
            return None

    def _hand_over(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._settle(consumer)
        self._forget(consumer, revoked)

    def _forget(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        for partition in lost:
            self._partitions.pop((partition.topic, partition.partition), None)
        consumer.incremental_unassign(lost)


# A run that somebody deletes while it is followed; an analysis that took too long, after which we join again.
_PASSING = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._MAX_POLL_EXCEEDED,
)
