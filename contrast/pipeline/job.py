"""A simulation that publishes through the bridge and notes when; a program."""

import time

import numpy as np
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from mpi4py import MPI

from lockstream.bridge import Block, Field, StreamSettings, open_stream
from lockstream.bridge.client import admin_client
from lockstream.bridge.messages import run_topic
from lockstream.contrast.pipeline.shared import PATIENCE_SECONDS, Gauges, Task, my_task, wait_for
from lockstream.contrast.rig import reply

FIELD = "u"


def main() -> None:
    """Publish, and answer with the times of the steps that are measured."""
    reply(_publish(my_task()))


def _publish(task: Task) -> list[float]:
    gauges, published = Gauges(task.gauges), list[float]()
    frame = np.random.default_rng(1).random(task.shape, dtype=np.float32)
    settings = StreamSettings(spool=f"{task.folder}/spool", max_stall=PATIENCE_SECONDS)
    field = Field(FIELD, task.shape, "f4")
    with open_stream(
        MPI.COMM_SELF, run=task.run, fields=[field], kafka=task.kafka, settings=settings
    ) as stream:
        _have_the_log_tell_time(task)
        wait_for(lambda: bool(gauges.get("is_read") and gauges.get("is_sampled")), "analysis and sampler")
        due = time.monotonic()
        for step in range(task.all_steps):
            if step == task.warm_up:
                wait_for(lambda: gauges.get("done") == task.warm_up, "the end of the warm-up")
                due = time.monotonic()
            time.sleep(max(0.0, due - time.monotonic()))
            due += task.interval
            published.append(time.time())
            gauges.set("published", step + 1)
            stream.publish(step, time=float(step), blocks={FIELD: Block(frame, (0, 0))})
    return published[task.warm_up :]


def _have_the_log_tell_time(task: Task) -> None:
    """Have the broker stamp each record when it appends it, instead of the producer when it makes it."""
    entry = ConfigEntry(
        "message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET
    )
    topic = ConfigResource(ResourceType.TOPIC, run_topic(task.run), incremental_configs=[entry])
    admin = admin_client(task.kafka)
    admin.incremental_alter_configs([topic])[topic].result(PATIENCE_SECONDS)


if __name__ == "__main__":
    main()
