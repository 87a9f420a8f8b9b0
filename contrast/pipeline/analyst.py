"""An analysis that takes a random time for each step, and notes when; a program."""

import time

import numpy as np
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, Message, TopicPartition

from lockstream.bridge.messages import run_topic
from lockstream.contrast.leaders import await_leader
from lockstream.contrast.pipeline.shared import (
    PATIENCE_SECONDS,
    Gauges,
    PipelineStuck,
    Task,
    my_task,
)
from lockstream.contrast.rig import reply
from lockstream.kafka.assembler import StepAssembler
from lockstream.kafka.events import Step
from lockstream.kafka.log import reader, record_of

HALF_A_TICK = 0.0005  # Kafka's clock shows whole milliseconds that have passed


def main() -> None:
    """Analyse all steps, and answer with the times of those that are measured."""
    task = my_task()
    consumer = reader(task.kafka)
    try:
        reply(_analyse(task, consumer))
    finally:
        consumer.close()


def _analyse(task: Task, consumer: Consumer) -> dict[str, list[float]]:
    gauges, topic, random = Gauges(task.gauges), run_topic(task.run), np.random.default_rng(2)
    await_leader(consumer, topic)
    consumer.assign([TopicPartition(topic, 0, 0)])
    gauges.set("is_read", 1)
    found: dict[str, list[float]] = {"logged": [], "begun": [], "done": []}
    assembler = StepAssembler(task.run)
    while (count := len(found["done"])) < task.all_steps:
        message = consumer.poll(PATIENCE_SECONDS)
        if message is None:
            raise PipelineStuck(f"step {count} did not come within {PATIENCE_SECONDS:g} s")
        if (record := record_of(message)) is None:
            continue
        for event in assembler.feed(record.offset, record.headers, record.value):
            if isinstance(event, Step):
                gauges.set("begun", count + 1)
                found["begun"].append(time.time())
                found["logged"].append(_appended(message) if count >= task.warm_up else 0.0)
                time.sleep(random.exponential(task.analysis_seconds))
                found["done"].append(time.time())
                gauges.set("done", count + 1)
    return {name: moments[task.warm_up :] for name, moments in found.items()}


def _appended(message: Message) -> float:
    """When the broker appended a record, in seconds since the epoch."""
    kind, milliseconds = message.timestamp()
    if kind != TIMESTAMP_LOG_APPEND_TIME:
        raise PipelineStuck("the broker does not stamp the records of the topic when it appends them")
    return milliseconds / 1e3 + HALF_A_TICK


if __name__ == "__main__":
    main()
