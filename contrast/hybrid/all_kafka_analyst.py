"""All Kafka: the analysis, a process of its own that reads what all workers write into one topic; a program.

Where it has to begin again stands beside each result, in the same line of the same file: results and position
cannot contradict each other, whenever it is killed.
"""

import numpy as np
from confluent_kafka import TopicPartition

from lockstream.contrast.hybrid.analysis import Analyst
from lockstream.contrast.hybrid.halo_kafka import PATIENCE_SECONDS, ExchangeFailed
from lockstream.contrast.hybrid.task import Task, my_task
from lockstream.contrast.hybrid.workflow import Array, Plan
from lockstream.contrast.rig import reply
from lockstream.kafka.log import Record, reader, record_of


def main() -> None:
    """Analyse frames until the last one has come."""
    task = my_task()
    with Analyst(task.plan, task.results_path) as analyst:
        _follow(task, analyst)
        reply(analyst.last_step)


def _follow(task: Task, analyst: Analyst) -> None:
    consumer = reader({"bootstrap.servers": task.servers})
    consumer.assign([TopicPartition(task.frame_topic, 0, analyst.resume)])
    frames = _Frames(task.plan, analyst.last_step)
    try:
        while not analyst.is_done:
            if (message := consumer.poll(PATIENCE_SECONDS)) is None:
                raise ExchangeFailed(f"no frame came within {PATIENCE_SECONDS:g} s")
            if (record := record_of(message)) is None:
                continue
            if (whole := frames.add(record)) is not None:
                step, frame = whole
                analyst.take(step, frame, frames.resume(record.offset + 1))
    finally:
        consumer.close()


class _Frames:
    """Frames that are being put together from the workers' bands; those up to a step are done with."""

    def __init__(self, plan: Plan, done: int) -> None:
        self._plan, self._done = plan, done
        self._frames: dict[int, Array] = {}
        self._missing: dict[int, set[int]] = {}
        self._first: dict[int, int] = {}  # offset of the first band of each

    def add(self, record: Record) -> tuple[int, Array] | None:
        """Take a band; return step and frame if that was its last one."""
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


if __name__ == "__main__":
    main()
