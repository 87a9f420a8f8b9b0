"""The bridge: the analysis, a consumer of the run's topic; a program.

As in `all_kafka_analyst` the position stands beside each result. Frames are put together by Lockstream's reader,
which takes a step only if it is whole and its checksums are right.
"""

from confluent_kafka import Consumer, TopicPartition

from lockstream.bridge.messages import run_topic
from lockstream.contrast.hybrid.analysis import Analyst
from lockstream.contrast.hybrid.bridge_job import FIELD
from lockstream.contrast.hybrid.halo_kafka import PATIENCE_SECONDS, ExchangeFailed
from lockstream.contrast.hybrid.task import Task, my_task
from lockstream.contrast.leaders import await_leader
from lockstream.contrast.rig import reply
from lockstream.kafka.assembler import StepAssembler
from lockstream.kafka.events import Step
from lockstream.kafka.log import Record, reader, record_of


def main() -> None:
    """Analyse frames until the last one has come."""
    task = my_task()
    with Analyst(task.plan, task.results_path) as analyst:
        _follow(task, analyst)
        reply(analyst.last_step)


def _follow(task: Task, analyst: Analyst) -> None:
    topic, assembler = run_topic(task.run), StepAssembler(task.run)
    consumer = reader({"bootstrap.servers": task.servers})
    try:
        await_leader(consumer, topic)  # the run may not have begun
        consumer.assign([TopicPartition(topic, 0, 0)])
        _feed(assembler, _next_record(consumer), analyst)  # says what the steps are like
        if analyst.resume:
            consumer.assign([TopicPartition(topic, 0, analyst.resume)])
        while not analyst.is_done:
            _feed(assembler, _next_record(consumer), analyst)
    finally:
        consumer.close()


def _feed(assembler: StepAssembler, record: Record, analyst: Analyst) -> None:
    for event in assembler.feed(record.offset, record.headers, record.value):
        if isinstance(event, Step):
            analyst.take(event.manifest.step, event.array(FIELD), assembler.resume_offset(record.offset + 1))


def _next_record(consumer: Consumer) -> Record:
    while (message := consumer.poll(PATIENCE_SECONDS)) is not None:
        if (record := record_of(message)) is not None:
            return record
    raise ExchangeFailed(f"no frame came within {PATIENCE_SECONDS:g} s")


if __name__ == "__main__":
    main()
