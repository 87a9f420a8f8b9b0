"""Lets the disk work on a file while it is still being written, so that the last fsync has little left to do."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

EVERY_BYTES = 32 << 20


class Writeback:
    """Flushes a growing file from a thread of its own, one flush at a time.

    Parameters
    ----------
    path
        The file; somebody else writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lockstream-writeback")
        self._running: Future[None] | None = None
        self._unflushed = 0

    def wrote(self, nbytes: int) -> None:
        """Take note that so many bytes more were written; a flush may begin."""
        self._unflushed += nbytes
        if self._unflushed >= EVERY_BYTES and (self._running is None or self._running.done()):
            self._settle()
            self._unflushed = 0
            self._running = self._thread.submit(_flush, self._path)

    def finish(self) -> None:
        """Wait for the flush that is under way, if any.

        Raises
        ------
        OSError
            If a flush failed. The kernel reports such an error once: a later fsync would not know of it.
        """
        try:
            self._settle()
        finally:
            self._thread.shutdown()

    def give_up(self) -> None:
        """Wait for the flush that is under way, whatever comes of it."""
        with suppress(OSError):
            self.finish()

    def _settle(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
