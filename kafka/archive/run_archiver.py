"""One run: the archivers of its partitions, and its ``run.h5``."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Self

from lockstream.kafka.archive.account import Source
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.lock import run_file_lock
from lockstream.kafka.archive.merge import merge_run
from lockstream.kafka.archive.partition import PartitionArchiver
from lockstream.kafka.archive.recovery import merged_file
from lockstream.kafka.archive.run_file import write_links
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.view import SealedFile, read_sealed, view_of, view_run
from lockstream.kafka.assembler import Headers
from lockstream.kafka.events import Event
from lockstream.kafka.log import Topic

MERGE_PATIENCE = 30.0  # seconds that the archiver of another partition may take to let go
LINKS_SHARE = 0.05  # of the time may go into renewing run.h5, however many segments there are


class RunArchiver:
    """Archives one run; a context manager that holds its locks.

    Parameters
    ----------
    archive
        The archive folder.
    topic
        The run's topic.
    settings
        The ``[archive]`` table.
    partitions
        Which partitions; empty means all. Other archivers may take the others.
    confirm
        Called before anything is sealed; raises if what was read may not be of that topic.

    Raises
    ------
    ArchiveLocked, ArchiveRefused
        See `PartitionArchiver`.
    """

    def __init__(
        self,
        archive: Path,
        topic: Topic,
        settings: ArchiveSettings,
        partitions: Collection[int] = (),
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        self.topic, self._settings = topic, settings
        self._folder = archive / topic.run
        self._folder.mkdir(parents=True, exist_ok=True)
        source = Source(topic.run, topic.name, topic.topic_id, topic.cluster_id)
        self._known: dict[Path, SealedFile] = {}
        self._links_due = 0.0
        with ExitStack() as stack:
            self._partitions = {
                number: stack.enter_context(
                    PartitionArchiver(self._folder, source, number, settings, confirm)
                )
                for number in sorted(partitions or range(topic.partitions))
            }
            self._stack = stack.pop_all()

    @property
    def next_offsets(self) -> dict[int, int]:
        """Per partition, the offset to be taken next."""
        return {number: partition.next_offset for number, partition in self._partitions.items()}

    @property
    def sealed_offsets(self) -> dict[int, int]:
        """Per partition, the first offset that is not sealed."""
        return {number: partition.sealed.next_offset for number, partition in self._partitions.items()}

    @property
    def status(self) -> str:
        """What ``run-ended`` said, once it is sealed in all partitions at hand; empty before.

        A newer attempt reaches the partitions one after the other: all must have come to the same end.
        """
        ends = [p.ended for p in self._partitions.values() if p.has_ended and p.ended]
        is_one_end = len(ends) == len(self._partitions) and len({end.attempt for end in ends}) == 1
        return ends[0].status if is_one_end else ""

    def take(self, partition: int, offset: int, headers: Headers, value: bytes | None) -> Iterator[Event]:
        """Archive one record; see `PartitionArchiver.take`."""
        return self._partitions[partition].take(offset, headers, value)

    def tick(self) -> None:
        """Seal what is old enough and let ``run.h5`` show it; call it a few times a second."""
        for partition in self._partitions.values():
            partition.seal_if_due()
        if monotonic() >= self._links_due and self._learn_segments():
            begun = monotonic()
            self._write_links()
            self._links_due = monotonic() + (monotonic() - begun) / LINKS_SHARE

    def seal(self) -> None:
        """Seal everything that is complete and let ``run.h5`` show it: nothing more will come for now."""
        for partition in self._partitions.values():
            partition.seal()
        if self._learn_segments():
            self._write_links()

    def finish(self) -> None:
        """Leave an ended run as the settings want it: merged if it completed, otherwise open for an attempt.

        The locks are given back before, because the archivers of other partitions come to the same end: who
        gets hold of ``run.h5`` first merges. What was merged before stays merged: links cannot show steps
        that ``run.h5`` holds itself.
        """
        self.seal()
        self.close()
        ended = view_run(self._folder).ended
        is_completed = ended is not None and ended.status == "completed"
        if merged_file(self._folder) or (is_completed and self._settings.on_end == "merge"):
            merge_run(self._folder, MERGE_PATIENCE)

    def close(self) -> None:
        """Throw away what is not sealed and give the locks back."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_links(self) -> None:
        with run_file_lock(self._folder):
            if merged_file(self._folder) is None:
                self._learn_segments()
                write_links(self._folder, view_of(self._folder, list(self._known.values())))

    def _learn_segments(self) -> bool:
        """Read what is small of newly sealed files; whether there were any."""
        merged = merged_file(self._folder) if not self._known else None
        paths = [*([merged] if merged else []), *segment_paths(self._folder)]
        new = [path for path in paths if path not in self._known]
        self._known.update((path, read_sealed(path)) for path in new)
        return bool(new)
