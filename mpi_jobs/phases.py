"""Phase timers: what each rank was doing when, and next to nothing where nobody asks.

A program names its phases and marks them::

    with phase_timers(comm) as timers:
        halo, compute = timers.phase("halo"), timers.phase("compute")
        for timers.step in range(steps):
            with halo:
                exchange()
            with compute:
                advance()

They measure if ``LOCKSTREAM_PHASES`` names a folder, which then gets a file per rank, see `phase_files`.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lockstream.bridge.errors import ConfigurationError, LockstreamError
from lockstream.mpi_jobs.clocks import ClockReading, compare_clocks
from lockstream.mpi_jobs.collect import on_root
from lockstream.mpi_jobs.phase_files import MAX_PHASES, RankPhases, phase_file, write_phases

if TYPE_CHECKING:
    from mpi4py import MPI

VARIABLE = "LOCKSTREAM_PHASES"
CAPACITY = 1 << 18  # intervals of one rank; 25 bytes each, of which only those that are used take memory


class Timers(Protocol):
    """Where a program says what it is doing."""

    step: int
    """The time step at hand; it is noted with every interval."""

    def phase(self, name: str) -> AbstractContextManager[object]:
        """Return what marks a phase: to be kept, and entered as often as there is something to mark.

        One phase may be entered inside another, whose clock then stands still: a rank is in one phase at a time.
        """
        ...


class NoTimers:
    """Measures nothing."""

    step = 0

    def phase(self, name: str) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return _NOTHING


_NOTHING = nullcontext()


class PhaseTimers:
    """Measures the phases of one rank, in memory that is there from the beginning.

    Parameters
    ----------
    capacity
        How many intervals it keeps. Of those beyond, only the sums are known.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.step = 0
        self._names: list[str] = []
        self._arrays = [np.empty(capacity, dtype) for dtype in (np.int64, np.int64, np.int64, np.uint8)]
        # A view is written faster than an array, element by element.
        self._begin, self._end, self._step, self._phase = (memoryview(array.data) for array in self._arrays)
        self._capacity, self._kept, self._lost = capacity, 0, 0
        self._totals: list[int] = []
        self._outer: list[int] = []
        self._current, self._begun, self._until = -1, 0, 0

    def phase(self, name: str) -> AbstractContextManager[object]:
        """Return what marks a phase, see `Timers.phase`.

        Raises
        ------
        ConfigurationError
            If the name is empty or too long, or there are too many.
        """
        if name not in self._names:
            if not 0 < len(name) <= 64:
                raise ConfigurationError("phase", name, "a phase's name has 1 to 64 characters")
            if len(self._names) == MAX_PHASES:
                raise ConfigurationError("phase", name, f"there are {MAX_PHASES} phases already; name fewer")
            self._names.append(name)
            self._totals.append(0)
        return _Mark(self, self._names.index(name))

    def measured(self, rank: int, ranks: int, mark: str, clocks: tuple[ClockReading, ...]) -> RankPhases:
        """Return everything that was measured so far.

        Parameters
        ----------
        rank, ranks
            Who this is, of how many.
        mark
            The same on all ranks of a run, and on no other run's.
        clocks
            How this rank's clock stands to rank 0's.
        """
        begin, end, step, phase = (array[: self._kept] for array in self._arrays)
        return RankPhases(
            rank=rank,
            ranks=ranks,
            host=socket.gethostname(),
            mark=mark,
            names=tuple(self._names),
            totals=tuple(self._totals),
            lost=self._lost,
            until=self._until,
            clocks=clocks,
            begin=begin,
            end=end,
            step=step,
            phase=phase,
        )

    def enter(self, number: int) -> None:
        """Begin a phase; the one around it, if any, is interrupted."""
        now = perf_counter_ns()
        if self._current >= 0:
            self._keep(now)
        self._outer.append(self._current)
        self._current, self._begun = number, now

    def leave(self) -> None:
        """End the phase and go on with the one around it."""
        now = perf_counter_ns()
        self._keep(now)
        self._current, self._begun = self._outer.pop(), now

    def _keep(self, now: int) -> None:
        self._totals[self._current] += now - self._begun
        self._until = now
        i = self._kept
        if i == self._capacity:
            self._lost += 1
            return
        self._begin[i], self._end[i], self._step[i], self._phase[i] = (
            self._begun,
            now,
            self.step,
            self._current,
        )
        self._kept = i + 1


class _Mark:
    """Marks one phase, again and again."""

    __slots__ = ("_number", "_timers")

    def __init__(self, timers: PhaseTimers, number: int) -> None:
        self._timers, self._number = timers, number

    def __enter__(self) -> None:
        self._timers.enter(self._number)

    def __exit__(self, *_error: object) -> None:
        self._timers.leave()


@contextmanager
def phase_timers(
    comm: MPI.Intracomm,
    folder: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    capacity: int = CAPACITY,
) -> Iterator[Timers]:
    """Lend timers, and write what they measured in the end, however that comes; collective.

    Parameters
    ----------
    comm
        All ranks.
    folder
        Gets a file per rank; those of an earlier run are removed. Left out, what ``LOCKSTREAM_PHASES`` says; if
        that says nothing either, nothing is measured. Rank 0's word counts.
    environ
        Where that variable is looked for.
    capacity
        How many intervals each rank keeps.

    Raises
    ------
    ConfigurationError
        On all ranks alike, if the folder cannot be written.
    """
    asked = comm.bcast(folder or environ.get(VARIABLE, ""))
    if not asked:
        yield NoTimers()
        return
    folder = Path(asked).expanduser().absolute()
    on_root(comm, lambda: _prepare(folder))
    mark, own = comm.bcast(uuid.uuid4().hex), comm.Dup()
    clocks = [compare_clocks(own)]
    timers = PhaseTimers(capacity)

    def write() -> None:
        try:
            measured = timers.measured(comm.rank, comm.size, mark, tuple(clocks))
            write_phases(phase_file(folder, comm.rank), measured)
        except OSError as error:
            raise LockstreamError(f"{folder}: the phases cannot be written ({error.strerror})") from None

    try:
        yield timers
    except BaseException as error:  # the other ranks may never come: no MPI from here on
        try:
            write()
        except LockstreamError as second:
            error.add_note(str(second))
        raise
    clocks.append(compare_clocks(own))  # once more: clocks of different machines drift apart
    own.Free()
    write()


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("rank-*.npz"):
            old.unlink()
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); name a folder that can be"
        raise ConfigurationError(VARIABLE, str(folder), problem) from None
