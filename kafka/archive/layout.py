"""Where things lie in an archive, and the few file operations that must not go wrong.

::

    ARCHIVE/<run_id>/run.h5                                 what a person opens
    ARCHIVE/<run_id>/segments/p000-o000000000000.h5         sealed, immutable: partition and first offset
    ARCHIVE/<run_id>/segments/….h5.tmp                      being written; never trusted, removed at start
    ARCHIVE/<run_id>/.lock-p000                             held by the archiver of that partition
"""

import errno
import os
from pathlib import Path

from lockstream.bridge.messages import is_run_id
from lockstream.kafka.errors import NotAnArchive

RUN_FILE = "run.h5"
SEGMENTS = "segments"
UNSEALED = ".tmp"


def segment_path(run_folder: Path, partition: int, first_offset: int) -> Path:
    """Where a segment lies once it is sealed."""
    return run_folder / SEGMENTS / f"p{partition:03d}-o{first_offset:012d}.h5"


def segment_paths(run_folder: Path, partition: int | None = None) -> list[Path]:
    """The sealed segments, of one partition or of all, in the order of partitions and offsets."""
    which = "p[0-9]*" if partition is None else f"p{partition:03d}"
    return sorted((run_folder / SEGMENTS).glob(f"{which}-o*.h5"))


def run_folders(path: Path) -> list[Path]:
    """The runs at `path`: an archive of many, one run's folder, or its ``run.h5``.

    Raises
    ------
    NotAnArchive
        If there is none.
    """
    if path.is_file() and path.name == RUN_FILE:
        return [path.parent]
    if _is_run_folder(path):
        return [path]
    folders = (
        sorted(p for p in path.glob("*") if is_run_id(p.name) and _is_run_folder(p)) if path.is_dir() else []
    )
    if not folders:
        raise NotAnArchive(
            f"{path}: no archive there; name an archive folder, a run's folder in it or its {RUN_FILE}"
        )
    return folders


def one_run(path: Path) -> Path:
    """The folder of the only run at `path`.

    Raises
    ------
    NotAnArchive
        If there is none, or more than one.
    """
    folders = run_folders(path)
    if len(folders) != 1:
        raise NotAnArchive(f"{path}: holds {len(folders)} runs; name one, e.g. {folders[0]}")
    return folders[0]


def remove_unsealed(run_folder: Path, partition: int) -> list[Path]:
    """Remove what a dead archiver left half written; Kafka still has it."""
    leftovers = sorted((run_folder / SEGMENTS).glob(f"p{partition:03d}-*{UNSEALED}"))
    for path in leftovers:
        path.unlink()
    return leftovers


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish_new(temporary: Path, final: Path) -> None:
    """Give a finished file its name, durably, without ever replacing another.

    Raises
    ------
    FileExistsError
        If `final` is there already.
    """
    sync(temporary)
    try:
        os.link(temporary, final)  # fails if the name is taken, unlike rename
        temporary.unlink()
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        _rename_new(temporary, final)  # no hard links there; the lock keeps other writers away
    sync(final.parent)


def replace(temporary: Path, final: Path) -> None:
    """Put a finished file in another's place, durably; readers see the old one or the new one."""
    sync(temporary)
    temporary.replace(final)
    sync(final.parent)


def _rename_new(temporary: Path, final: Path) -> None:
    if final.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(final))
    temporary.rename(final)


def _is_run_folder(path: Path) -> bool:
    return (path / RUN_FILE).is_file() or (path / SEGMENTS).is_dir()
