"""The workflow that is done three ways: heat spreads over a grid, and every n-th state of it is analysed.

Everything that decides the numbers is here, and is the same for all three: they differ in how a band of the grid
learns its neighbours' edges, and in how a state comes to the analysis.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from lockstream.mpi_jobs.decomposition import block_range

_DIFFUSIVITY = 0.2  # times time step over spacing squared; stable up to 1/4
Array = np.ndarray[Any, Any]


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be computed, and how fast.

    Parameters
    ----------
    rows, columns
        Of the grid, which is periodic; its elements are float64. A worker's part of it must fit into one record of
        Kafka, 1 MB as that comes.
    workers
        Among how many the rows are dealt out.
    steps, every
        How many steps, and every how many of them there is a frame for the analysis.
    pace
        Seconds that a step takes at least, in place of the physics that a real one would have.
    analysis_seconds
        Seconds that the analysis takes longer for each frame than it must.
    crash_at
        The analysis is killed while it has the n-th frame, from 1; 0: it is not.
    """

    rows: int
    columns: int
    workers: int
    steps: int
    every: int
    pace: float = 0.0
    analysis_seconds: float = 0.0
    crash_at: int = 0

    def __post_init__(self) -> None:
        if self.workers < 1 or self.rows < self.workers or self.every < 1 or self.steps < self.every:
            raise ValueError(f"{self}: every worker needs a row, and every run a frame")

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return self.steps // self.every

    @property
    def last_step(self) -> int:
        """The step of the last frame."""
        return self.frames * self.every

    def band(self, worker: int) -> tuple[int, int]:
        """Return the rows ``(first, stop)`` of a worker."""
        return block_range(self.rows, self.workers, worker)


class Band:
    """The rows of one worker, with a row of each neighbour around them.

    Parameters
    ----------
    plan
        The whole.
    worker
        Whose band.
    """

    def __init__(self, plan: Plan, worker: int) -> None:
        self.first, stop = plan.band(worker)
        y, x = np.mgrid[self.first : stop, 0 : plan.columns]
        # Integers alone: the sine of a number may depend on where in an array it stands.
        spots = (y // 8 * 7919 + x // 8 * 10_4729) % 1009 / 1009
        self.padded: Array = np.zeros((stop - self.first + 2, plan.columns + 2))
        self.own[...] = spots
        self._change = np.empty_like(spots)

    @property
    def own(self) -> Array:
        """The worker's own rows, shape (rows, columns)."""
        return self.padded[1:-1, 1:-1]

    def advance(self) -> None:
        """Compute one step; the neighbours' rows are there."""
        u, change = self.padded, self._change
        u[:, 0], u[:, -1] = u[:, -2], u[:, 1]
        np.add(u[:-2, 1:-1], u[2:, 1:-1], out=change)
        change += u[1:-1, :-2]
        change += u[1:-1, 2:]
        change -= 4 * self.own
        change *= _DIFFUSIVITY
        self.own[...] += change


def solve(
    plan: Plan, band: Band, exchange: Callable[[int], None], publish: Callable[[int, Array], None]
) -> None:
    """Compute all steps of one band.

    Parameters
    ----------
    plan, band
        What, and which part of it.
    exchange
        Given the step, gives the neighbours the outermost rows of ``band.padded`` that are the worker's own, and
        fills the first and last with theirs.
    publish
        Given a step and the worker's rows, takes these; they change as soon as it returns.
    """
    for step in range(1, plan.steps + 1):
        began = time.monotonic()
        exchange(step)
        band.advance()
        if step % plan.every == 0:
            publish(step, band.own)
        if (rest := began + plan.pace - time.monotonic()) > 0:
            time.sleep(rest)
