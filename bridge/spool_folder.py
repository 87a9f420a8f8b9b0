"""The folder of one run's spool: what it says of the run, and the lock that admits one process at a time."""

import errno
import fcntl
import json
import os
import platform
from pathlib import Path
from time import monotonic, sleep
from typing import Annotated, Literal

import msgspec

from lockstream.bridge.errors import NotASpool, SpoolDamaged, SpoolLocked
from lockstream.bridge.messages import CountOrNone, Text, is_run_id, run_topic
from lockstream.bridge.spool_segment import SUFFIX, UNFINISHED

ABOUT, LOCK = "spool.json", ".lock"
MAX_ABOUT_BYTES = 1 << 16
PATIENCE_SECONDS = 1.0  # `lockstream spool status` touches the lock for an instant


class SpoolAbout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``spool.json``: what must be known to deliver the spool when nobody else is left.

    Parameters
    ----------
    version
        Of the files' format.
    run, topic
        The run and its topic.
    partitions, replication, retention_hours
        To make the topic with, if it is not there.
    servers, cluster
        The bootstrap servers that the run was meant for, and the id of their cluster if it was known.
    last_seq
        The largest sequence number that was ever used, or -1; larger ones may lie in the files.
    """

    version: Literal[1] = 1
    run: str
    topic: str
    partitions: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] = 1
    replication: Annotated[int, msgspec.Meta(ge=-1, lt=2**15)] = -1
    retention_hours: Annotated[float, msgspec.Meta(ge=-1, le=10**9)] = -1
    servers: Text = ""
    cluster: Text = ""
    last_seq: CountOrNone = -1

    def __post_init__(self) -> None:
        if not is_run_id(self.run) or self.topic != run_topic(self.run):
            raise ValueError(f"run {self.run[:80]!r} with topic {self.topic[:80]!r}")


def read_about(folder: Path) -> SpoolAbout | None:
    """Read ``spool.json``; None if there is none.

    Raises
    ------
    SpoolDamaged
        If it is not valid.
    """
    try:
        with (folder / ABOUT).open("rb") as file:
            raw = file.read(MAX_ABOUT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return msgspec.json.decode(raw, type=SpoolAbout)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SpoolDamaged(folder / ABOUT, 0, f"it is not valid: {error}") from None


def write_about(folder: Path, about: SpoolAbout) -> None:
    """Replace ``spool.json`` as a whole, on disk when this returns."""
    unfinished = folder / f"{ABOUT}{UNFINISHED}"
    with unfinished.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(about)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / ABOUT)
    sync_folder(folder)


def settle_about(folder: Path, about: SpoolAbout | None) -> SpoolAbout:
    """Write down what is known about the run, without forgetting which numbers are used; None leaves it as it is.

    Raises
    ------
    NotASpool
        If there is nothing, or the spool of another run.
    """
    old = read_about(folder)
    if about is None:
        if old is None:
            raise NotASpool(f"{folder}: no run's spool is there")
        return old
    if old is not None:
        if old.run != about.run:
            raise NotASpool(f"{folder}: holds the spool of run {old.run!r}, not of {about.run!r}")
        about = msgspec.structs.replace(about, last_seq=max(old.last_seq, about.last_seq))
    if about != old:
        write_about(folder, about)
    return about


def sync_folder(folder: Path) -> None:
    """Put a folder's names on disk; some network file systems have nothing to do for it and say EINVAL."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def segment_paths(folder: Path) -> list[Path]:
    """Files of a spool, in the order of their items."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def spool_folders(path: Path) -> list[Path]:
    """Return the run's spool at `path`, or those of all runs in it.

    Raises
    ------
    NotASpool
        If there is none.
    """
    found = [path] if (path / ABOUT).exists() else sorted(each.parent for each in path.glob(f"*/{ABOUT}"))
    if not found:
        raise NotASpool(
            f"{path}: no run's spool is there; name the folder that holds {ABOUT}, or the one above"
        )
    return found


class SpoolLock:
    """The lock of a spool's folder; the kernel drops it when the process dies, however it dies.

    Raises
    ------
    SpoolLocked
        If another process holds it; the text names host and pid.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        limit = monotonic() + PATIENCE_SECONDS
        while not _try(self._descriptor, fcntl.LOCK_EX):
            if monotonic() > limit:
                holder = _holder(self._descriptor)
                os.close(self._descriptor)
                raise SpoolLocked(
                    f"{folder}: the spool is in use by {holder}; wait until that has ended, or stop it"
                )
            sleep(0.02)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(
            self._descriptor, json.dumps({"host": platform.node(), "pid": os.getpid()}).encode() + b"\n", 0
        )

    def release(self) -> None:
        """Let the next one have it."""
        os.close(self._descriptor)


def held_by(folder: Path) -> str:
    """Say which process holds a spool, e.g. ``pid 17 on node3``; empty if none does."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return ""
    try:
        return "" if _try(descriptor, fcntl.LOCK_SH) else _holder(descriptor)
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    try:
        said = json.loads(os.pread(descriptor, 1000, 0))
        return f"pid {int(said['pid'])} on {said['host']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has not said who it is"
