"""All Kafka: the analysis, a process of its own that reads what all workers write into one topic; a program.

Where it has to begin again stands beside each result, in the same line of the same file: results and position
cannot contradict each other, whenever it is killed.
"""

from confluent_kafka import TopicPartition

from lockstream.contrast.hybrid.analysis import Analyst
from lockstream.contrast.hybrid.frames_kafka import BandsToFrames
from lockstream.contrast.hybrid.halo_kafka import PATIENCE_SECONDS, ExchangeFailed
from lockstream.contrast.hybrid.task import Task, my_task
from lockstream.contrast.rig import reply
from lockstream.kafka.log import reader, record_of


def main() -> None:
    """Analyse frames until the last one has come."""
    task = my_task()
    with Analyst(task.plan, task.results_path) as analyst:
        _follow(task, analyst)
        reply(analyst.last_step)


def _follow(task: Task, analyst: Analyst) -> None:
    consumer = reader({"bootstrap.servers": task.servers})
    consumer.assign([TopicPartition(task.frame_topic, 0, analyst.resume)])
    frames = BandsToFrames(task.plan, analyst.last_step)
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


if __name__ == "__main__":
    main()
