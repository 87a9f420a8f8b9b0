"""The files of one spool: found and mended when it is opened, made, put on disk and dropped."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lockstream.bridge.errors import LockstreamError, SpoolDamaged, SpoolFull, SpoolUnwritable
from lockstream.bridge.spool_folder import segment_paths, sync_folder
from lockstream.bridge.spool_segment import UNFINISHED, Segment

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
OPEN_FILES = 2  # the one that live items go to, and the one for those that could not be delivered


class CutOff(NamedTuple):
    """A torn tail that was found and cut off.

    Parameters
    ----------
    file, offset, size
        Where it began, and its bytes.
    """

    file: Path
    offset: int
    size: int


class SpoolFiles:
    """The files of a spool, in order of their items, none of which is in two.

    Parameters
    ----------
    folder
        Where they are; nobody else may write there.
    roll_bytes
        Size from which on a file gets no further item.

    Raises
    ------
    SpoolDamaged
        If a file is not what was written.
    """

    def __init__(self, folder: Path, roll_bytes: int) -> None:
        self.cut_off: list[CutOff] = []
        self.segments: list[Segment] = []
        self._folder, self._roll_bytes = folder, roll_bytes
        self._open: list[Segment] = []  # those written last, the last one last
        self._is_folder_dirty = True  # who was killed may not have come to it
        for unfinished in folder.glob(f"*{UNFINISHED}"):
            unfinished.unlink()
        for path in segment_paths(folder):
            self._take(path)

    def ending_before(self, seq: int) -> Segment:
        """Return the file whose next item this is, or a new one, with room for it and ready to be written.

        Raises
        ------
        OSError
            If it cannot be made, or the file that was left behind cannot be put on disk.
        """
        for segment in self.segments:
            if segment.next == seq and segment.size < self._roll_bytes and not segment.is_failing:
                self._make_room(segment)
                return segment
        self._make_room(None)
        segment = Segment.make(self._folder, seq)
        self._is_folder_dirty = True
        self.segments = sorted([*self.segments, segment], key=lambda each: each.first)
        self._open.append(segment)
        return segment

    def drop(self, segment: Segment) -> None:
        """Delete a file."""
        segment.close()
        self.segments.remove(segment)
        if segment in self._open:
            self._open.remove(segment)
        segment.path.unlink(missing_ok=True)

    def sync(self) -> None:
        """Put everything on disk.

        Raises
        ------
        OSError
            If the disk fails; from then on until the file in question is dropped.
        """
        for segment in self.segments:
            if segment.is_failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(segment.path))
            segment.sync()
        if self._is_folder_dirty:
            sync_folder(self._folder)
            self._is_folder_dirty = False

    def close(self) -> None:
        """Give all descriptors back."""
        for segment in self.segments:
            segment.close()

    def _make_room(self, wanted: Segment | None) -> None:
        """Keep few files open: the one that was not written for longest goes to disk before it is closed."""
        self._open = [each for each in self._open if each is not wanted]
        if len(self._open) >= OPEN_FILES:
            oldest = self._open.pop(0)
            try:
                oldest.sync()
            finally:
                oldest.close()
        if wanted is not None:
            self._open.append(wanted)

    def _take(self, path: Path) -> None:
        segment = Segment.open(path)
        if (torn := segment.cut()) > 0:
            self.cut_off.append(CutOff(path, segment.size, torn))
        if not segment.items:
            path.unlink()
            return
        if self.segments and segment.first < self.segments[-1].next:
            raise SpoolDamaged(path, 0, f"item {segment.first} is in the file before as well")
        self.segments.append(segment)


@contextmanager
def explained(folder: Path, limit_bytes: int) -> Iterator[None]:
    """Turn the system's errors into ours.

    Raises
    ------
    SpoolFull
        For a full disk, an exhausted quota, a file that may not grow.
    SpoolUnwritable
        For any other.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, LockstreamError):
            raise
        if error.errno in _FULL:
            used = sum(path.stat().st_size for path in segment_paths(folder))
            raise SpoolFull(folder, used, limit_bytes, str(error.strerror)) from error
        raise SpoolUnwritable(f"{folder}: the spool cannot be written ({error.strerror})") from error
