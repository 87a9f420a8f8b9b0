"""The processes of a drill, known by a mark in their environment: also those whose parents are gone."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lockstream.kafka.broker.process import ProcessIdentity, identify

MARK = "DRILL_MARK"
RANK = ("PMI_RANK", "OMPI_COMM_WORLD_RANK")
PUBLISHER = "lockstream.bridge.publisher_process"
PATIENCE_SECONDS = 5.0


class Found(NamedTuple):
    """A process of a drill.

    Parameters
    ----------
    process
        Which.
    arguments, environment
        With what it was started.
    """

    process: ProcessIdentity
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def rank(self) -> int | None:
        """Its rank, None if it has none."""
        return next((int(self.environment[name]) for name in RANK if name in self.environment), None)

    @property
    def is_publisher(self) -> bool:
        """Whether it is the publisher of a stream."""
        return PUBLISHER in self.arguments


def marked(mark: str) -> Iterator[Found]:
    """Yield the processes that run and were started with that mark, except this one."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or int(folder.name) == os.getpid():
            continue
        with suppress(OSError):  # somebody else's, or gone meanwhile
            pairs = (entry.partition("=") for entry in _strings(folder / "environ"))
            environment = {name: value for name, _, value in pairs}
            if environment.get(MARK) == mark:
                process = identify(int(folder.name))
                if process.alive():
                    yield Found(process, tuple(_strings(folder / "cmdline")), environment)


def ranks(mark: str) -> dict[int, ProcessIdentity]:
    """Return the ranks that run."""
    return {found.rank: found.process for found in marked(mark) if found.rank is not None and _is_ours(found)}


def publisher(mark: str) -> ProcessIdentity | None:
    """Return the publisher that runs."""
    return next((found.process for found in marked(mark) if found.is_publisher), None)


def end_all(mark: str) -> None:
    """End all that bear the mark: ask first, then insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = [found.process for found in marked(mark)]
        for process in left:
            process.signal(signal.SIGCONT)
            process.signal(number)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for process in left:
            process.wait_gone(deadline - time.monotonic())


def _is_ours(found: Found) -> bool:
    """Whether it is the program, not what the launcher put around it."""
    return "lockstream.cli" in found.arguments and "simulate" in found.arguments


def _strings(path: Path) -> list[str]:
    return path.read_bytes().decode(errors="replace").rstrip("\0").split("\0")
