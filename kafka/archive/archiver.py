"""The archiver: follows runs from Kafka into the archive, as many at once as there are."""

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Event as Flag
from time import monotonic

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from lockstream.bridge.client import KafkaOptions
from lockstream.bridge.errors import ConfigurationError, LockstreamError, UserError
from lockstream.kafka.archive.disk import explained, writable_folder
from lockstream.kafka.archive.run_archiver import RunArchiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.errors import ArchiveDamaged, ArchiveRefused, NoSuchRun
from lockstream.kafka.events import Event, Until
from lockstream.kafka.log import Cluster, LogUnavailable, Topic, check_available, reader, record_of

GROUP = "lockstream-archiver"
LOOK_SECONDS = 1.0  # between two looks for new runs, and at the topic of one that is at hand
TICK_SECONDS = 0.25
BATCH = 16  # records taken at once: up to 16 MiB

Report = Callable[[str, Event], None]
_log = logging.getLogger(__name__)


class RunRefused(LockstreamError):
    """Some runs could not be archived; the others were."""


class Archiver:
    """Follows named runs until they end, or all runs for ever.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    settings
        The ``[archive]`` table.
    runs
        Which runs; empty means all, those included that begin later.
    partitions
        Which partitions of them; empty means all. Other archivers may take the others.
    until
        Named runs are followed until they have ``ended`` in whatever way, or ``completed``: behind a stop or a
        failure the next attempt is waited for.
    report
        Called with run and event for everything that is settled, e.g. to show progress.
    """

    def __init__(
        self,
        options: KafkaOptions,
        settings: ArchiveSettings,
        runs: Iterable[str] = (),
        partitions: Iterable[int] = (),
        report: Report = lambda _run, _event: None,
        until: Until = "ended",
    ) -> None:
        self._options, self._settings, self._report = options, settings, report
        self._ends_early = until == "ended"  # also when another attempt may follow
        self._wanted, self._partitions = frozenset(runs), frozenset(partitions)
        self._archive = writable_folder(Path(settings.folder))
        self._cluster = Cluster(options)
        self._asking = reader(options)  # questions would queue up behind a fetch that waits for records
        self._active: dict[str, RunArchiver] = {}  # by topic
        self._read_to_end: set[tuple[str | None, int | None]] = set()  # topics and partitions
        self._done: set[str] = set()
        self._refused: dict[str, str] = {}
        self._stop = Flag()

    def follow(self, stop: Flag) -> bool:
        """Archive until all named runs have ended, or `stop` is set.

        Returns
        -------
        bool
            True if everything that was to be archived is; False if it was stopped before.

        Raises
        ------
        RunRefused
            At the end, if runs had to be left out.
        UserError
            At once, if a named run is refused.
        ArchiveUnwritable
            If the disk is full, read-only or gone.
        """
        self._stop = stop
        try:
            with ExitStack() as stack:
                consumer = reader(self._options, GROUP, enable_partition_eof=True)
                stack.callback(self._asking.close)
                stack.callback(consumer.close)
                stack.callback(self._close)
                self._follow(consumer, stop)
        except LogUnavailable:
            if not stop.is_set():
                raise  # otherwise it was stopped while Kafka was away: what is not sealed will be read again
        except (OSError, ArchiveDamaged) as error:
            runs = [run.topic.run for run in self._active.values()]
            raise explained(error, self._archive, self._settings, runs) from None
        if self._refused:
            raise RunRefused("; ".join(self._refused.values()))
        return self._is_complete()

    def _follow(self, consumer: Consumer, stop: Flag) -> None:
        look = tick = 0.0
        while not stop.is_set() and not self._is_complete():
            now = monotonic()
            if now >= look:
                self._look(consumer)
                look = now + LOOK_SECONDS
            if now >= tick:
                self._tick(consumer)
                tick = now + TICK_SECONDS
            for message in consumer.consume(BATCH, timeout=TICK_SECONDS):
                self._take(consumer, message)
        for run in self._active.values():
            run.seal()
            self._commit_run(consumer, run)

    def _look(self, consumer: Consumer) -> None:
        """See what has changed in Kafka; a broker that is away comes back."""
        try:
            self._look_for_runs(consumer)
            self._check_next_topic(consumer)
        except LogUnavailable as error:
            _log.warning("%s; looking again", error)

    def _look_for_runs(self, consumer: Consumer) -> None:
        known = self._done | set(self._refused) | {run.topic.run for run in self._active.values()}
        if not self._wanted or not self._wanted <= known:
            for name in self._cluster.runs():
                if name not in known and (not self._wanted or name in self._wanted):
                    self._begin(consumer, name)

    def _check_next_topic(self, consumer: Consumer) -> None:
        """Give a run up whose topic was deleted, made again or compacted: no record would ever say so."""
        if not self._active:
            return
        name, run = next(iter(self._active.items()))
        self._active[name] = self._active.pop(name)  # the others have their turn
        try:
            self._cluster.confirm(run.topic)
        except (ArchiveRefused, NoSuchRun) as error:
            self._give_up(consumer, run, error)

    def _confirm(self, topic: Topic) -> None:
        """Make sure that what was read is of that topic, waiting for a broker that is away."""
        while True:
            try:
                self._cluster.confirm(topic)
            except NoSuchRun:
                return  # deleted only after everything that came from it was read
            except LogUnavailable as error:
                _log.warning("%s; nothing is sealed before it does", error)
                if self._stop.wait(LOOK_SECONDS):
                    raise
            else:
                return

    def _close(self) -> None:
        for run in self._active.values():
            run.close()

    def _is_complete(self) -> bool:
        return bool(self._wanted) and self._wanted <= self._done

    def _begin(self, consumer: Consumer, name: str) -> None:
        try:
            topic = self._cluster.topic(name)
            chosen = self._partitions_of(topic)
            run = RunArchiver(self._archive, topic, self._settings, chosen, partial(self._confirm, topic))
        except NoSuchRun:
            return  # deleted since the look
        except UserError as error:
            self._refuse(name, error)
            return
        try:
            for partition, offset in run.next_offsets.items():
                check_available(self._asking, topic.name, partition, offset)
        except LockstreamError as error:
            run.close()
            if not isinstance(error, UserError):
                raise
            self._refuse(name, error)
            return
        _log.info("following run %s from offsets %s", name, run.next_offsets)
        self._active[topic.name] = run
        placed = [TopicPartition(topic.name, p, offset) for p, offset in run.next_offsets.items()]
        consumer.incremental_assign(placed)

    def _partitions_of(self, topic: Topic) -> frozenset[int]:
        if unknown := {p for p in self._partitions if p >= topic.partitions}:
            known = f"{topic.name} has partitions 0 to {topic.partitions - 1}"
            raise ConfigurationError("--partition", min(unknown), known)
        return self._partitions

    def _refuse(self, name: str, error: LockstreamError) -> None:
        if self._wanted:
            raise error
        _log.error("run %s is left out: %s", name, error)
        self._refused[name] = f"run {name}: {error}"

    def _take(self, consumer: Consumer, message: Message) -> None:
        run = self._active.get(message.topic() or "")
        try:
            if _is_end(message):
                self._read_to_end.add((message.topic(), message.partition()))
                if run is not None:
                    self._finish_if_due(consumer, run)
                return
            record = record_of(message) if run or not message.topic() else None
            if record is None or run is None:
                return  # an error that passes, or the last records of a run that is done
            for event in run.take(record.partition, record.offset, record.headers, record.value):
                self._report(run.topic.run, event)
        except (ArchiveRefused, LogUnavailable) as refusal:
            if run is None:
                raise
            self._give_up(consumer, run, self._reason(run, refusal))

    def _reason(self, run: RunArchiver, error: LockstreamError) -> LockstreamError:
        """Say more exactly why a log cannot be read on: which offsets are gone, if it still is the same."""
        with suppress(LogUnavailable):
            try:
                self._cluster.confirm(run.topic)
                for partition, offset in run.next_offsets.items():
                    check_available(self._asking, run.topic.name, partition, offset)
            except UserError as reason:
                return reason
        return error

    def _give_up(self, consumer: Consumer, run: RunArchiver, error: LockstreamError) -> None:
        """Keep what surely came from its log and leave the run alone: that cannot be read any further."""
        with suppress(ArchiveRefused):
            run.seal()
        self._let_go(consumer, run)
        self._refuse(run.topic.run, error)

    def _let_go(self, consumer: Consumer, run: RunArchiver) -> None:
        consumer.incremental_unassign([TopicPartition(run.topic.name, p) for p in run.next_offsets])
        self._commit_run(consumer, run)
        run.close()
        del self._active[run.topic.name]

    def _tick(self, consumer: Consumer) -> None:
        for run in list(self._active.values()):
            try:
                run.tick()
                self._finish_if_due(consumer, run)
            except ArchiveRefused as error:
                self._give_up(consumer, run, error)

    def _finish_if_due(self, consumer: Consumer, run: RunArchiver) -> None:
        if not {(run.topic.name, p) for p in run.next_offsets} <= self._read_to_end:
            return  # a run that ended may go on behind that, with its next attempt
        if run.status == "completed" or (run.status and self._wanted and self._ends_early):
            run.finish()
            self._done.add(run.topic.run)
            self._let_go(consumer, run)

    def _commit_run(self, consumer: Consumer, run: RunArchiver) -> None:
        """Show in Kafka how far the run is sealed; only people and lag monitors look at it."""
        reached = [TopicPartition(run.topic.name, p, offset) for p, offset in run.sealed_offsets.items()]
        try:
            consumer.commit(offsets=reached, asynchronous=True)
        except KafkaException as error:
            _log.info("offsets of run %s not committed: %s", run.topic.run, error)


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF
