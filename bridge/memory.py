"""How much memory there is for us: what the kernel has, and what our control groups let us have of it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/")


def available_bytes(root: Path = ROOT) -> int:
    """Return how many bytes may still be taken without pushing others out or being killed.

    Parameters
    ----------
    root
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    int
        ``MemAvailable`` (proc(5)), or what is left below the tightest limit of our control groups if that is less:
        a container's, or a batch job's.
    """
    return min([_of_the_machine(root), *_left_in_groups(root)])


def _of_the_machine(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_in_groups(root: Path) -> Iterator[int]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _left(root / "sys/fs/cgroup", path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(root / "sys/fs/cgroup/memory", path, *names)


def _left(mount: Path, path: str, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    """What each group from ours upwards leaves; inside a container, ours may be mounted as the topmost."""
    ours = mount / path.lstrip("/")
    for group in [ours, *ours.parents]:
        if not group.is_relative_to(mount):
            return
        most, taken = _text(group / limit).strip(), _text(group / used).strip()
        if most.isdecimal() and taken.isdecimal():
            counts = dict(line.split() for line in _text(group / "memory.stat").splitlines())
            yield max(0, int(most) - int(taken) + int(counts.get(reclaimable, 0)))


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
