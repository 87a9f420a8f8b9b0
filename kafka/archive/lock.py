"""One writer per run and partition: a lock that names its holder."""

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lockstream.kafka.errors import ArchiveLocked


@contextmanager
def partition_lock(run_folder: Path, partition: int) -> Iterator[None]:
    """Hold the lock of one partition of a run.

    POSIX record locks (``fcntl``) are used because NFS servers honour them across nodes; the kernel drops
    them when the process dies, however it dies.

    Raises
    ------
    ArchiveLocked
        If somebody else holds it; the text names host and pid.
    """
    path = run_folder / f".lock-p{partition:03d}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip() or "unknown"
        raise ArchiveLocked(
            f"{path}: another archiver writes this run ({holder}); stop it, or give this one another folder"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"host": platform.node(), "pid": os.getpid()}).encode() + b"\n", 0)
