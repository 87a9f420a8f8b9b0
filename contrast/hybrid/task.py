"""What the programs of the workflow are asked, and what they answer."""

import time
from pathlib import Path
from typing import Self

import msgspec

from lockstream.contrast.hybrid.journal import Journal
from lockstream.contrast.hybrid.workflow import Plan
from lockstream.contrast.rig import asked

READY_SECONDS = 60.0


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program's part.

    Parameters
    ----------
    plan
        The whole.
    folder
        Where journals are written.
    results
        Name of the journal of results, for whoever analyses.
    servers
        Of Kafka.
    run
        The run's id, for the bridge.
    halo_topic, frame_topic
        Topics of the way that has nothing but Kafka.
    worker
        Which of the workers, where each is a program of its own.
    """

    plan: Plan
    folder: str
    results: str = "results.jsonl"
    servers: str = ""
    run: str = ""
    halo_topic: str = ""
    frame_topic: str = ""
    worker: int = 0

    @property
    def results_path(self) -> Path:
        """The journal of results."""
        return Path(self.folder) / self.results

    @property
    def published_path(self) -> Path:
        """The journal of frames that a worker has handed over; on ranks only the first one has it."""
        return Path(self.folder) / f"published-{self.worker}.jsonl"

    @property
    def join_path(self) -> Path:
        """A file that asks a simulation on ranks to have one more analysis; it holds that one's task."""
        return Path(self.folder) / "join.json"


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frame was handed over; step 0: the simulation begins.

    Parameters
    ----------
    at
        Seconds of this machine's monotonic clock, as everywhere here.
    """

    step: int
    at: float


class Simulated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A simulation has come to its end.

    Parameters
    ----------
    began, ended
        When all workers were there, and when the last frame was out of their hands: taken over by the analysis,
        or stored by Kafka.
    """

    began: float
    ended: float


class Progress:
    """Where one of the workers notes what is published; a context manager."""

    def __init__(self, task: Task) -> None:
        self._journal = Journal(task.published_path, Published)
        self.began = 0.0

    def begin(self) -> None:
        """All are there."""
        self.published(0)
        self.began = self._journal.entries[-1].at

    def published(self, step: int) -> None:
        """A frame was handed over."""
        self._journal.write(Published(step=step, at=time.monotonic()))

    def end(self) -> Simulated:
        """Everything is out of the workers' hands."""
        return Simulated(began=self.began, ended=time.monotonic())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__()


def my_task() -> Task:
    """Return what this program was asked."""
    return msgspec.convert(asked(), Task)
