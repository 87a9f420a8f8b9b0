"""Prints "ready", then when it has seen each frame whole: ``latency_reader.py WAY SERVERS RUN FRAMES``."""

import sys
import time

from confluent_kafka import TopicPartition

from lockstream.bridge.messages import run_topic
from lockstream.kafka.assembler import Step, StepAssembler
from lockstream.kafka.log import reader, record_of

LIMIT_SECONDS = 100.0


def main() -> None:
    """Read one run, or a topic of plain halves of frames."""
    way, servers, run, frames = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    consumer = reader({"bootstrap.servers": servers})
    limit = time.monotonic() + LIMIT_SECONDS
    while run_topic(run) not in consumer.list_topics(timeout=10).topics and time.monotonic() < limit:
        time.sleep(0.02)
    consumer.assign([TopicPartition(run_topic(run), 0, 0)])
    print("ready", flush=True)
    assembler, seen, halves = StepAssembler(run), 0, 0
    while seen < frames and time.monotonic() < limit:
        message = consumer.poll(1.0)
        record = record_of(message) if message is not None else None
        if record is None:
            continue
        if way == "bare":
            halves += 1
            whole = halves % 2 == 0
        else:
            events = assembler.feed(record.offset, record.headers, record.value)
            whole = any(isinstance(event, Step) for event in events)
        if whole:
            print(time.monotonic(), flush=True)
            seen += 1
    consumer.close()


if __name__ == "__main__":
    main()
