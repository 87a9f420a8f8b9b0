"""Reads all that a topic of one partition holds.

Asked: servers, topic. Answers: numbers (of the messages, as they lie there).
"""

import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lockstream.bridge.client import client_config
from lockstream.contrast.experiments.programs.numbered import number_of
from lockstream.contrast.rig import asked, reply

LIMIT_SECONDS = 60.0


def main() -> None:
    """Read up to where the topic ended when this began."""
    task = asked()
    config = client_config(
        {"bootstrap.servers": task["servers"]}, group_id="contrast-inventory", enable_auto_commit=False
    )
    consumer = Consumer(config)
    partition = TopicPartition(task["topic"], 0, 0)
    _, end = consumer.get_watermark_offsets(partition, timeout=LIMIT_SECONDS)
    consumer.assign([partition])
    numbers: list[int] = []
    limit = time.monotonic() + LIMIT_SECONDS
    while len(numbers) < end:
        message = consumer.poll(1.0)
        if message is None:
            if time.monotonic() > limit:
                raise TimeoutError(f"{len(numbers)} of {end} messages came within {LIMIT_SECONDS:.0f} s")
            continue
        if error := message.error():
            raise KafkaException(error)
        numbers.append(number_of(message.value()))
    consumer.close()
    reply({"numbers": numbers})


if __name__ == "__main__":
    main()
