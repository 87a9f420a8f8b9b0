"""Disks: room, inodes and kind of file system of the folders that a run writes to."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lockstream.cli.checks.finding import Finding, fault, ok, unknown, warning
from lockstream.cli.terminal import size

PLACE = "disks"
LEAST_INODES = 10_000
SHARED = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "afs", "9p", "fuse.sshfs"}
)
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that a run writes to.

    Parameters
    ----------
    what
        Its part, e.g. "archive".
    path
        Where it is, or will be.
    setting
        The key that moves it elsewhere.
    wanted
        Bytes that it may come to need, as far as anybody can say; 0: nobody can.
    is_hot
        Whether each step may go there while the simulation runs: it is then better off on a disk of the node.
    """

    what: str
    path: Path
    setting: str
    wanted: int = 0
    is_hot: bool = False


def check_disks(folders: Iterable[Folder]) -> Iterator[Finding]:
    """Look at each folder, or at what it will be made in."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    for folder in folders:
        yield from _check(folder, mounts)


def _check(folder: Folder, mounts: Iterable[str]) -> Iterator[Finding]:
    what, elsewhere = f"{folder.what} {folder.path.absolute()}", f"name another folder with {folder.setting}"
    there = nearest(folder.path)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free, inodes = shutil.disk_usage(there).free, os.statvfs(there)
    except OSError as error:
        cure = f"make {there} writable, or {elsewhere}"
        yield fault(PLACE, what, f"{there} cannot be written ({error.strerror})", cure)
        return
    kind = kind_of(there.resolve(), mounts)
    found = f"{size(free)} free, {kind}"
    if free < folder.wanted:
        found = f"{size(free)} are free and {size(folder.wanted)} may be needed, {kind}"
        yield warning(PLACE, what, found, f"make room, or {elsewhere}")
    elif inodes.f_files and inodes.f_favail < LEAST_INODES:  # file systems that make them as needed say 0
        yield warning(PLACE, what, f"only {inodes.f_favail} inodes are free", f"remove files, or {elsewhere}")
    elif kind in IN_MEMORY:
        cure = f"{elsewhere}: what is there takes memory from the ranks, and is gone when the node restarts"
        yield warning(PLACE, what, found, cure)
    elif folder.is_hot and kind in SHARED:
        cure = f"if nodes have a disk of their own, {elsewhere}; this one survives the loss of a node, but is slower"
        yield warning(PLACE, what, found, cure)
    elif kind == "unknown":
        yield unknown(PLACE, what, found, "look with findmnt -T")
    else:
        yield ok(PLACE, what, found)


def nearest(path: Path) -> Path:
    """Return the folder itself, or the nearest one above it that exists."""
    path = path.absolute()
    return next(place for place in [path, *path.parents] if place.is_dir())


def kind_of(path: Path, mounts: Iterable[str]) -> str:
    """Return the kind of the file system that `path` is on, e.g. "ext4".

    Parameters
    ----------
    path
        Absolute, without links.
    mounts
        Lines of ``/proc/self/mountinfo`` (proc(5)); of several at one place the last counts.
    """
    best, kind = -1, "unknown"
    for line in mounts:
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind
