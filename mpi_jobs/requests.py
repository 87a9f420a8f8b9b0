"""What is asked of a running simulation from outside, by signals and by the clock, agreed upon by all ranks."""

from __future__ import annotations

import signal
from collections import deque
from enum import IntFlag
from time import monotonic
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from lockstream.mpi_jobs.config import CheckpointSettings

if TYPE_CHECKING:
    from mpi4py import MPI


class Request(IntFlag):
    """What may be asked for."""

    NOTHING = 0
    CHECKPOINT = 1
    STOP_BY_USR1 = 2
    STOP_BY_TERM = 4

    @property
    def reason(self) -> str:
        """Why the run shall end; empty if it shall not."""
        if Request.STOP_BY_TERM in self:
            return "stopped by SIGTERM"
        return "stopped by SIGUSR1" if Request.STOP_BY_USR1 in self else ""


class Requests:
    """Collects what is asked of any rank; a context manager that handles SIGUSR1 and SIGTERM meanwhile.

    Parameters
    ----------
    comm
        All ranks.
    settings
        What SIGUSR1 means, and how often the clock asks for a checkpoint.

    Notes
    -----
    A launcher may send a signal to any of the ranks, at any time. What each has heard travels by a non-blocking
    reduction that is begun at one step and looked at at the next, so that nobody waits for it and all ranks act
    at the same step.
    """

    def __init__(self, comm: MPI.Intracomm, settings: CheckpointSettings) -> None:
        self._comm, self._settings = comm.Dup(), settings
        self._heard: deque[Request] = deque()  # a signal may come at any moment: appending is atomic
        self._mine, self._all = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._travelling: MPI.Request | None = None
        self._before: dict[int, Any] = {}
        self._last_checkpoint = monotonic()
        self._answered = Request.NOTHING  # of what is travelling

    def exchange(self) -> Request:
        """Return what any rank had heard at the last call, the same on all ranks; collective."""
        from mpi4py import MPI

        agreed = Request.NOTHING
        if self._travelling is not None:
            self._travelling.Wait()
            agreed = Request(int(self._all[0])) & ~self._answered
        self._answered = Request.NOTHING
        if self._comm.rank == 0 and self._is_due():
            self._heard.append(Request.CHECKPOINT)
        self._mine[0] = 0
        while self._heard:
            self._mine[0] |= self._heard.popleft()
        self._travelling = self._comm.Iallreduce(self._mine, self._all, op=MPI.BOR)
        return agreed

    def wrote_checkpoint(self) -> None:
        """Whatever asked for a checkpoint up to now has got it; call it on all ranks at the same step.

        A launcher's signal reaches some ranks before they exchange what they heard and some after: it would ask
        for two, and the second would push an older one out. The clock counts anew.
        """
        self._last_checkpoint = monotonic()
        self._answered = Request.CHECKPOINT
        for _ in range(len(self._heard)):
            if stops := self._heard.popleft() & ~Request.CHECKPOINT:
                self._heard.append(stops)

    def __enter__(self) -> Requests:
        usr1 = Request.STOP_BY_USR1 if self._settings.on_usr1 == "stop" else Request.CHECKPOINT
        for number, meaning in ((signal.SIGUSR1, usr1), (signal.SIGTERM, Request.STOP_BY_TERM)):
            self._before[number] = signal.signal(number, self._hearing(meaning))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if error is None:  # otherwise the other ranks may never come
            if self._travelling is not None:
                self._travelling.Wait()
            self._comm.Free()

    def _hearing(self, meaning: Request) -> Any:
        def hear(_number: int, _frame: FrameType | None) -> None:
            self._heard.append(meaning)

        return hear

    def _is_due(self) -> bool:
        return 0 < self._settings.seconds <= monotonic() - self._last_checkpoint
