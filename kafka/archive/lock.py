"""One writer per run and partition: a lock that names its holder."""

import errno
import fcntl
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep

from lockstream.kafka.errors import ArchiveLocked


@contextmanager
def partition_lock(run_folder: Path, partition: int, patience: float = 0.0) -> Iterator[Callable[[], None]]:
    """Hold the lock of one partition of a run.

    POSIX record locks (``fcntl``) are used because NFS servers honour them across nodes; the kernel drops
    them when the process dies, however it dies.

    Parameters
    ----------
    run_folder, partition
        Which.
    patience
        Seconds to wait for somebody else to let it go.

    Yields
    ------
    callable
        Raises OSError if what is held is not the lock that lies at its path any more: the folder was moved or
        unmounted meanwhile, and another archiver may hold the lock that is there now.

    Raises
    ------
    ArchiveLocked
        If somebody else holds it; the text names host and pid.
    """
    path = run_folder / f".lock-p{partition:03d}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, path, patience)
        yield partial(_check_place, descriptor, path)
    finally:
        os.close(descriptor)


@contextmanager
def run_file_lock(run_folder: Path) -> Iterator[None]:
    """Wait for the right to write ``run.h5``, which the archivers of all partitions share, and hold it."""
    descriptor = os.open(run_folder / ".lock-run", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, patience: float) -> None:
    limit = monotonic() + patience
    while not _try(descriptor):
        if monotonic() < limit:
            sleep(0.05)
            continue
        holder = os.pread(descriptor, 1000, 0).decode(errors="replace").strip() or "unknown"
        raise ArchiveLocked(
            f"{path}: another archiver writes this run ({holder}); stop it, or give this one another folder"
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"host": platform.node(), "pid": os.getpid()}).encode() + b"\n", 0)


def _check_place(descriptor: int, path: Path) -> None:
    if not os.path.samestat(os.fstat(descriptor), path.stat()):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))


def _try(descriptor: int) -> bool:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, says POSIX
        return False
    return True
