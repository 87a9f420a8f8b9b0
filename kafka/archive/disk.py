"""The archive's disk: whether it takes files at all, and what it means when it takes no more."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lockstream.bridge.errors import ConfigurationError, LockstreamError
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.errors import ArchiveDamaged, ArchiveUnwritable

UNWRITABLE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),  # full
        *(errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM),  # turned read-only, failing, closed to us
        *(errno.ENOENT, errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.ENOTDIR),  # unmounted, moved, gone
    }
)


def writable_folder(folder: Path, name: str = "archive.folder", option: str = "--archive") -> Path:
    """Make a folder, and make sure that files can be made in it.

    Parameters
    ----------
    folder
        Which.
    name, option
        What a user knows it by, and how another one is chosen.

    Raises
    ------
    ConfigurationError
        If not, with the system's reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # without a name: others may look at the same time
            pass
    except OSError as error:
        raise ConfigurationError(
            name,
            str(folder),
            f"cannot be written ({error.strerror}); choose another with {option}",
        ) from None
    return folder


def explained(error: Exception, archive: Path, settings: ArchiveSettings, runs: Iterable[str]) -> Exception:
    """Say what a full, read-only or vanished file system means; other errors are returned as they are.

    Parameters
    ----------
    error
        What went wrong; a sealed file that could not be opened has the system's reason as its cause.
    archive, settings
        The archive folder, and the ``[archive]`` table.
    runs
        The runs that are being archived.
    """
    reason = error.__cause__ if isinstance(error, ArchiveDamaged) else error
    if (
        not isinstance(reason, OSError)
        or isinstance(reason, LockstreamError)
        or reason.errno not in UNWRITABLE
    ):
        return error
    free = ""
    with suppress(OSError):
        free = f"{shutil.disk_usage(archive).free / 1e6:.0f} MB are free, "
    wanted = max((_room_wanted(archive / run, settings) for run in runs), default=2 * settings.segment_bytes)
    return ArchiveUnwritable(
        f"{archive}: cannot be written any more ({os.strerror(reason.errno or 0)}); {free}at least "
        f"{wanted / 1e6:.0f} MB are wanted. What is sealed is safe, the rest is still in Kafka: cure it and start the "
        "same command again"
    )


def _room_wanted(run_folder: Path, settings: ArchiveSettings) -> int:
    """Bytes that a run may need beside what it has: two segments, and at its end all of them once more."""
    segments = segment_paths(run_folder) if settings.on_end == "merge" else []
    with suppress(OSError):
        return 2 * settings.segment_bytes + sum(path.stat().st_size for path in segments)
    return 2 * settings.segment_bytes
