"""What is wanted of each frame, and what became of it: the same in all three ways."""

import hashlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from lockstream.contrast.hybrid.journal import Journal
from lockstream.contrast.hybrid.workflow import Array, Plan

BINS = 32


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one frame.

    Parameters
    ----------
    step
        Of the frame.
    frame
        SHA-256 of its elements.
    histogram
        How many elements are in each of `BINS` equal parts of 0 to 1.
    at
        When it was written, in seconds of this machine's monotonic clock.
    resume
        Where in Kafka's log a reader has to begin to get all frames after it; 0 where there is no log.
    """

    step: int
    frame: str
    histogram: tuple[int, ...]
    at: float
    resume: int


class Analyst:
    """Analyses frames and writes a line about each; a context manager.

    What an earlier one of the same file has done is not done again.

    Parameters
    ----------
    plan
        Among other things, how slow it is and whether it is killed.
    path
        Of the results.
    """

    def __init__(self, plan: Plan, path: Path) -> None:
        self._plan, self._journal, self._taken = plan, Journal(path, Result), 0

    @property
    def resume(self) -> int:
        """Where in Kafka's log to begin."""
        return self._journal.entries[-1].resume if self._journal.entries else 0

    @property
    def last_step(self) -> int:
        """The last step of which there is a result; 0 if there is none."""
        return self._journal.entries[-1].step if self._journal.entries else 0

    @property
    def is_done(self) -> bool:
        """Whether the last frame of all has been analysed."""
        return self.last_step >= self._plan.last_step

    def take(self, step: int, frame: Array, resume: int = 0) -> None:
        """Analyse one frame, unless there is a result of it.

        Parameters
        ----------
        step, frame
            Its step, and the whole grid.
        resume
            See `Result`.
        """
        if step <= self.last_step:
            return
        self._taken += 1
        time.sleep(self._plan.analysis_seconds)
        if self._taken == self._plan.crash_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._journal.write(examine(step, frame, resume))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__()


def examine(step: int, frame: Array, resume: int = 0) -> Result:
    """Return what is to be known of a frame."""
    counts, _ = np.histogram(frame, bins=BINS, range=(0.0, 1.0))
    return Result(
        step=step,
        frame=hashlib.sha256(frame.tobytes()).hexdigest(),
        histogram=tuple(counts.tolist()),
        at=time.monotonic(),
        resume=resume,
    )


def digest(results: Sequence[Result]) -> str:
    """SHA-256 over what the results say, whenever and wherever they were found."""
    said = [(result.step, result.frame, result.histogram) for result in results]
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()
