"""What the programs of the pipeline share: what they are asked, and gauges in a file that all have in memory."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from lockstream.bridge.errors import LockstreamError
from lockstream.contrast.rig import asked

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.001
_GAUGES = ("published", "begun", "done", "is_read", "is_sampled")


class PipelineStuck(LockstreamError):
    """Something that must happen did not."""


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be measured.

    Parameters
    ----------
    run, servers
        The run, and Kafka.
    folder
        With the gauges.
    steps, warm_up
        How many steps are measured, and how many go before them that are not.
    interval
        Seconds between two steps.
    analysis_seconds
        How long the analysis of a step takes on average; its distribution is exponential.
    shape
        Of the one field, float32.
    sample_seconds
        Mean time between two samples.
    """

    run: str
    servers: str
    folder: str
    steps: int
    warm_up: int
    interval: float
    analysis_seconds: float
    shape: tuple[int, int]
    sample_seconds: float

    @property
    def gauges(self) -> Path:
        """The gauges' file."""
        return Path(self.folder) / f"{self.run}.gauges"

    @property
    def kafka(self) -> dict[str, str]:
        """Options for clients."""
        return {"bootstrap.servers": self.servers}

    @property
    def all_steps(self) -> int:
        """Those that are measured and those that are not."""
        return self.warm_up + self.steps


class Gauges:
    """Numbers that one program sets and others read at any moment.

    Parameters
    ----------
    path
        A file of `Gauges.make`.
    """

    def __init__(self, path: Path) -> None:
        self._numbers = np.memmap(path, np.int64, "r+", shape=(len(_GAUGES),))

    @classmethod
    def make(cls, path: Path) -> None:
        """Make the file, all numbers 0."""
        path.write_bytes(bytes(8 * len(_GAUGES)))

    def get(self, name: str) -> int:
        """Return a number."""
        return int(self._numbers[_GAUGES.index(name)])

    def set(self, name: str, value: int) -> None:
        """Set a number; each has one program that does so."""
        self._numbers[_GAUGES.index(name)] = value


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises
    ------
    PipelineStuck
        Naming it, after `PATIENCE_SECONDS`.
    """
    limit = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > limit:
            raise PipelineStuck(f"{what}: not within {PATIENCE_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)


def my_task() -> Task:
    """Return what this program was asked."""
    return msgspec.convert(asked(), Task)
