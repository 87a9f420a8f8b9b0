"""Counts how many steps are where, at random moments; a program.

It knows nothing of any single step: it reads gauges, and asks the broker how long the log is.
"""

import time

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from lockstream.bridge.frames import Step, empty_frame, step_messages
from lockstream.bridge.messages import Field, run_topic
from lockstream.bridge.run_messages import run_started
from lockstream.bridge.settings import StreamSettings
from lockstream.contrast.leaders import await_leader
from lockstream.contrast.pipeline.law import Sample
from lockstream.contrast.pipeline.shared import PATIENCE_SECONDS, Gauges, Task, my_task
from lockstream.contrast.rig import reply
from lockstream.kafka.log import reader

LOCAL = ("published", "begun", "done")


def main() -> None:
    """Sample until the last step is analysed."""
    task = my_task()
    consumer = reader(task.kafka)
    try:
        reply(_sample(task, consumer))
    finally:
        consumer.close()


def _sample(task: Task, consumer: Consumer) -> list[Sample]:
    gauges, random, samples = Gauges(task.gauges), np.random.default_rng(3), list[Sample]()
    topic, per_step = run_topic(task.run), _records_per_step(task)
    partition = TopicPartition(topic, 0)
    await_leader(consumer, topic)
    gauges.set("is_sampled", 1)
    done = 0.0
    while done < task.all_steps:
        # At random: samples at regular moments would always meet the same phase of a regular simulation.
        time.sleep(random.exponential(task.sample_seconds))
        began, before = time.time(), [gauges.get(name) for name in LOCAL]
        _, end = consumer.get_watermark_offsets(partition, timeout=PATIENCE_SECONDS)
        ended, after = time.time(), [gauges.get(name) for name in LOCAL]
        # Before the steps there is run-started, behind them run-ended.
        logged = min((end - 1) // per_step, task.all_steps)
        published, begun, done = ((a + b) / 2 for a, b in zip(before, after, strict=True))
        samples.append(Sample((began + ended) / 2, published, logged, begun, done))
    return samples


def _records_per_step(task: Task) -> int:
    """How many records a step of this run has: its tiles, and the manifest that closes it."""
    started = run_started(task.run, [Field("u", task.shape, "f4")], StreamSettings())
    return len(step_messages(Step(0, 0.0, {}), empty_frame(started), started))


if __name__ == "__main__":
    main()
