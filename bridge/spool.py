"""The spool: items that Kafka could not take yet, in files, until they are delivered.

An *item* is what leaves the bridge as one: a step with all its records, or one control message in every
partition. Items have growing numbers and are read in their order. An item is in the spool whole or not at all.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from lockstream.bridge.errors import SpoolFull
from lockstream.bridge.spool_files import CutOff, SpoolFiles, explained
from lockstream.bridge.spool_folder import (
    SpoolAbout,
    SpoolLock,
    settle_about,
    spool_folders,
    write_about,
)
from lockstream.bridge.spool_format import DATA_OFFSET, MAX_SEQ, OutRecord, SpoolRecord, item_size
from lockstream.bridge.spool_segment import Segment

ROLL_BYTES = 64 << 20  # a file that has so much gets no further item, so that drained ones can go


class Spool:
    """The spool of one run, held by this process until `close`.

    Parameters
    ----------
    folder
        The run's folder in the spool.
    limit_bytes
        Bound on the files' bytes.
    about
        What to write down about the run; None to open a spool that is there. An older attempt's is replaced.
    roll_bytes
        Size from which on a file gets no further item.

    Raises
    ------
    NotASpool
        Without `about`, if there is none.
    SpoolLocked
        If another process holds it.
    SpoolDamaged
        If a file is not what was written.
    SpoolUnwritable
        If the folder cannot be made or written.
    """

    def __init__(
        self, folder: Path, limit_bytes: int, about: SpoolAbout | None = None, *, roll_bytes: int = ROLL_BYTES
    ) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self._delivered = -1
        self._cursor, self._turn = 0, 0  # number of the next item to read, and how often that was set anew
        self._place: tuple[Segment, int] | None = None  # where it lies, if that is known
        if about is None:
            spool_folders(folder)  # nothing is made where there is none
        with self._explained():
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = SpoolLock(folder)
        try:
            with self._explained():
                self.about = settle_about(folder, about)
                self._files = SpoolFiles(folder, roll_bytes)
        except BaseException:
            self._lock.release()
            raise

    @property
    def cut_off(self) -> list[CutOff]:
        """Torn tails that were there when it was opened, left by a process or a machine that died."""
        return self._files.cut_off

    @property
    def used_bytes(self) -> int:
        """Bytes of all files."""
        return sum(segment.size for segment in self._files.segments)

    @property
    def items(self) -> int:
        """Items that are there and not delivered."""
        return sum(max(0, s.next - max(s.first, self._delivered + 1)) for s in self._files.segments)

    @property
    def last_seq(self) -> int:
        """The largest number that was ever used here, delivered or not; -1 if none was."""
        return max([self.about.last_seq, *(segment.next - 1 for segment in self._files.segments)])

    @property
    def cursor(self) -> int:
        """Number from which on items have not been read, or not to their end."""
        return self._cursor

    def append(self, seq: int, records: Sequence[OutRecord]) -> None:
        """Add an item behind all others; it is in the spool whole, or not at all.

        Parameters
        ----------
        seq
            Its number, larger than `last_seq`.
        records
            Partition, headers and value of each; values are bytes or C-contiguous arrays, and are not kept.

        Raises
        ------
        SpoolFull
            If there is no room for it.
        SpoolUnwritable
            If the disk fails.
        ValueError
            If the number is used, or a record is larger than Kafka takes.
        """
        if seq <= self.last_seq:
            raise ValueError(f"item {seq} is not behind {self.last_seq}")
        self._add(seq, records)

    def insert(self, seq: int, records: Sequence[OutRecord]) -> None:
        """Add an item where its number belongs: one that was sent, and not delivered.

        It is read even if reading has come further already. Parameters and errors are those of `append`.
        """
        if any(segment.first <= seq < segment.next for segment in self._files.segments):
            raise ValueError(f"item {seq} is in the spool already")
        self._add(seq, records)
        self._delivered = min(self._delivered, seq - 1)
        if seq < self._cursor:
            self.rewind(seq)

    def next_item(self) -> tuple[int, Iterator[SpoolRecord]] | None:
        """Return the next item's number and records; None if there is none now.

        The item is whole; its records are read, and checked, as they are taken. The cursor moves on when the last
        one has been: an iterator that is given up is as if it had never been asked for.
        """
        segment = next((each for each in self._files.segments if each.next > self._cursor), None)
        if segment is None:
            return None
        if segment.first > self._cursor:
            self._cursor, self._place = segment.first, None
        return self._cursor, self._records(segment, self._cursor, self._turn)

    def read(self) -> Iterator[SpoolRecord]:
        """Yield the records of all items from the cursor on, in order, to the end that there is now.

        Raises
        ------
        SpoolDamaged
            If they are not what was written.
        """
        while (item := self.next_item()) is not None:
            yield from item[1]

    def rewind(self, seq: int) -> None:
        """Read from this item on next; if it is not there any more, from the next one that is."""
        self._cursor, self._place = seq, None
        self._turn += 1

    def delivered(self, seq: int) -> None:
        """Take note that every item up to this one is acknowledged; files with nothing else are deleted.

        Raises
        ------
        SpoolUnwritable
            If they cannot be.
        """
        self._delivered = max(self._delivered, min(seq, self.last_seq))
        done = [segment for segment in self._files.segments if segment.next - 1 <= self._delivered]
        with self._explained():
            for segment in done:
                if len(self._files.segments) == 1:  # no file name will tell any more
                    self.remember(self.last_seq)
                self._files.drop(segment)

    def remember(self, seq: int) -> None:
        """Have `last_seq` be at least `seq`, from now on and for those who open the spool later."""
        if seq > self.about.last_seq:
            with self._explained():
                about = msgspec.structs.replace(self.about, last_seq=seq)
                write_about(self.folder, about)
                self.about = about

    def sync(self) -> None:
        """Put everything on disk; cheap if it is there.

        Raises
        ------
        SpoolUnwritable
            If the disk fails. After that it is raised until the file in question has been delivered.
        """
        with self._explained():
            self._files.sync()

    def close(self) -> None:
        """Put everything on disk and let the lock go.

        Raises
        ------
        SpoolUnwritable
            If the disk fails; the lock is let go all the same.
        """
        try:
            self.sync()
        finally:
            self._files.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, seq: int, records: Sequence[OutRecord]) -> None:
        if not 0 <= seq <= MAX_SEQ:
            raise ValueError(f"item number {seq} is not 0 to {MAX_SEQ}")
        size, used = item_size(records), self.used_bytes
        if used + size + DATA_OFFSET > self.limit_bytes:
            reason = f"stream.spool_bytes; {size} more are wanted"
            raise SpoolFull(self.folder, used, self.limit_bytes, reason)
        with self._explained():
            segment = self._files.ending_before(seq)
            try:
                segment.append(records, size)
            except BaseException:
                if not segment.items:
                    with suppress(OSError):
                        self._files.drop(segment)
                raise

    def _records(self, segment: Segment, seq: int, turn: int) -> Iterator[SpoolRecord]:
        known = self._place
        offset = known[1] if known is not None and known[0] is segment else segment.offset_of(seq)
        end = offset
        for record, end in segment.read(seq, offset):  # noqa: B007
            if record is not None:
                yield record
        if turn == self._turn:  # nobody has set the cursor meanwhile
            self._cursor, self._place = seq + 1, (segment, end)

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self.folder, self.limit_bytes)
