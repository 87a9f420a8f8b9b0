"""One file of a spool: items with consecutive numbers, written at its end, read from anywhere.

The mark in its beginning says how much of it was on disk for certain. What lies behind the mark after a crash
is kept as far as it is whole; what lies before it must be whole, or the file is damaged.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from lockstream.bridge.errors import SpoolDamaged
from lockstream.bridge.spool_format import (
    DATA_OFFSET,
    MARK_OFFSET,
    BrokenFrame,
    Mark,
    OutRecord,
    SpoolRecord,
    item_buffers,
    pack_header,
    pack_mark,
    read_item,
    skip_item,
    unpack_start,
)

SUFFIX = ".items"
UNFINISHED = ".tmp"
BUFFERS = 512  # of one write; the kernel takes 1024
WRITEBACK_BYTES = 8 << 20


class Segment:
    """An open file of a spool; `make` or `open` gives one.

    Parameters
    ----------
    path, descriptor
        The file.
    first
        Number of its first item.
    mark
        What was on disk for certain when it was opened.
    """

    def __init__(self, path: Path, descriptor: int, first: int, mark: Mark) -> None:
        self.path, self.first = path, first
        self.size, self.items = mark  # of whole items; what lies behind does not count
        self.is_failing = False  # after an error of the disk nobody can know what it holds
        self._descriptor: int | None = descriptor
        self._marked = mark
        self._hinted = mark.size

    @classmethod
    def make(cls, folder: Path, first: int) -> "Segment":
        """Make a file; it has its name only once it has its header, on disk."""
        path = folder / f"{first:018d}{SUFFIX}"
        unfinished = path.with_suffix(UNFINISHED)
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            mark = Mark(DATA_OFFSET, 0)
            _write_all(descriptor, [pack_header(first), pack_mark(mark)], 0)
            os.fdatasync(descriptor)
            unfinished.rename(path)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                unfinished.unlink()
            raise
        return cls(path, descriptor, first, mark)

    @classmethod
    def open(cls, path: Path) -> "Segment":
        """Open a file and find its whole items; only what lies behind the mark is read for that.

        Raises
        ------
        SpoolDamaged
            If it is shorter than its mark says, or does not begin as it must.
        """
        descriptor = os.open(path, os.O_RDONLY)
        try:
            first, mark = unpack_start(os.pread(descriptor, DATA_OFFSET, 0))
            if path.name != f"{first:018d}{SUFFIX}":
                raise BrokenFrame(0, f"the header says that the first item is {first}")
            if (length := os.fstat(descriptor).st_size) < mark.size:
                raise BrokenFrame(length, f"the file ends here, and {mark.size} bytes were on disk")
            segment = cls(path, descriptor, first, mark)
            segment._find_items(length)
        except BrokenFrame as fault:
            os.close(descriptor)
            raise SpoolDamaged(path, fault.offset, fault.what) from None
        except BaseException:
            os.close(descriptor)
            raise
        segment.close()
        return segment

    @property
    def next(self) -> int:
        """Number of the item that would come next."""
        return self.first + self.items

    @property
    def is_dirty(self) -> bool:
        """Whether it holds items that may not be on disk."""
        return self._marked.size < self.size

    @property
    def is_open(self) -> bool:
        """Whether it has a descriptor."""
        return self._descriptor is not None

    def length(self) -> int:
        """Bytes of the file, a torn tail included."""
        return self.path.stat().st_size

    def cut(self) -> int:
        """Cut off what lies behind the whole items; returns how many bytes that were."""
        torn = self.length() - self.size
        if torn > 0:
            os.truncate(self.path, self.size)
        return torn

    def append(self, records: Sequence[OutRecord], size: int) -> None:
        """Write an item that takes `size` bytes, all or nothing.

        Raises
        ------
        OSError
            The file is as it was, or, if even that could not be done, `is_failing`.
        """
        descriptor = self._writable()
        try:
            buffers, at = item_buffers(self.next, records), self.size
            while batch := list(islice(buffers, BUFFERS)):
                at = _write_all(descriptor, batch, at)
        except BaseException:
            try:
                os.ftruncate(descriptor, self.size)
            except OSError:
                self.is_failing = True  # half an item lies there: it is a torn tail to whoever opens the file
            raise
        self.size += size
        self.items += 1
        if self.size - self._hinted >= WRITEBACK_BYTES:  # the disk may begin, so that `sync` has less to do
            with suppress(OSError):
                os.posix_fadvise(descriptor, self._hinted, self.size - self._hinted, os.POSIX_FADV_DONTNEED)
            self._hinted = self.size

    def sync(self) -> None:
        """Put on disk what was written since the last time, then move the mark.

        Raises
        ------
        OSError
            The file `is_failing` from now on: the kernel forgets such an error once it is told.
        """
        if not self.is_dirty:
            return
        descriptor, reached = self._writable(), Mark(self.size, self.items)
        try:
            os.fdatasync(descriptor)
            # The mark itself reaches the disk whenever it likes: an older one is true as well.
            _write_all(descriptor, [pack_mark(reached)], MARK_OFFSET)
        except OSError:
            self.is_failing = True
            raise
        self._marked = reached

    def close(self) -> None:
        """Give the descriptor back; it is opened again when it is needed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def read(self, seq: int, offset: int) -> Generator[tuple[SpoolRecord | None, int], None, None]:
        """Yield an item's records and at last None, each with the offset of what comes next.

        Raises
        ------
        SpoolDamaged
            If they are not what was written.
        """
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            yield from read_item(descriptor, offset, self.size, seq)
        except BrokenFrame as fault:
            raise SpoolDamaged(self.path, fault.offset, fault.what) from None
        finally:
            os.close(descriptor)

    def offset_of(self, seq: int) -> int:
        """Return where an item begins.

        Raises
        ------
        SpoolDamaged
            If the way there is not what was written.
        """
        descriptor, offset = os.open(self.path, os.O_RDONLY), DATA_OFFSET
        try:
            for passed in range(self.first, seq):
                offset = skip_item(descriptor, offset, self.size, passed)
        except BrokenFrame as fault:
            raise SpoolDamaged(self.path, fault.offset, fault.what) from None
        finally:
            os.close(descriptor)
        return offset

    def _writable(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR)
        return self._descriptor

    def _find_items(self, length: int) -> None:
        """Take what lies behind the mark for as long as it is whole."""
        if self._descriptor is None:
            return
        with suppress(BrokenFrame):  # torn: the process or the machine died while this was written
            while self.size < length:
                end = self.size
                for _, end in read_item(self._descriptor, self.size, length, self.next):  # noqa: B007
                    pass  # one record at a time: an item can be large
                self.size, self.items = end, self.items + 1


def _write_all(descriptor: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
    """Write buffers at an offset, however many calls it takes, and return where they end."""
    left = [memoryview(buffer) for buffer in buffers if len(buffer)]
    while left:
        written = os.pwritev(descriptor, left, offset)
        offset += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]
    return offset
