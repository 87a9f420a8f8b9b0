"""How frames come from workers to an analysis through a topic: each worker writes its rows, whenever it has them."""

import numpy as np

from lockstream.contrast.hybrid.workflow import Array, Plan
from lockstream.kafka.log import Record


class BandsToFrames:
    """Puts frames together, and knows where in the log a reader has to begin again.

    Parameters
    ----------
    plan
        Who has which rows.
    done
        Frames up to this step are not wanted any more.
    """

    def __init__(self, plan: Plan, done: int) -> None:
        self._plan, self._done = plan, done
        self._frames: dict[int, Array] = {}
        self._missing: dict[int, set[int]] = {}
        self._first: dict[int, int] = {}  # offset of the first band of each

    def add(self, record: Record) -> tuple[int, Array] | None:
        """Take a band; return step and frame if that was its last one.

        Raises
        ------
        ValueError, KeyError
            If it is none of this plan.
        """
        said = {name: int(value or b"-1") for name, value in record.headers or ()}
        step, worker = said["step"], said["worker"]
        if step <= self._done:
            return None
        if step not in self._frames:
            self._frames[step] = np.empty((self._plan.rows, self._plan.columns))
            self._missing[step] = set(range(self._plan.workers))
            self._first[step] = record.offset
        band = self._frames[step][slice(*self._plan.band(worker))]
        band[...] = np.frombuffer(record.value or b"").reshape(band.shape)
        self._missing[step].discard(worker)
        if self._missing[step]:
            return None
        del self._missing[step], self._first[step]
        return step, self._frames.pop(step)

    def resume(self, next_offset: int) -> int:
        """Where a reader has to begin that has the results up to here and nothing else."""
        return min(self._first.values(), default=next_offset)
