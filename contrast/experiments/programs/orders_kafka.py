"""Reads all partitions of a topic of numbered messages, and looks at the order in which they come.

Asked: servers, topic, partitions, messages. Answers: seconds (from the first to the last), count, within (messages out
of turn within their partition), over_all (out of turn over the whole topic).
"""

import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lockstream.bridge.client import client_config
from lockstream.contrast.experiments.programs.numbered import number_of
from lockstream.contrast.experiments.programs.order import Order
from lockstream.contrast.rig import asked, reply

LIMIT_SECONDS = 60.0


def main() -> None:
    """Read everything."""
    task = asked()
    config = client_config(
        {"bootstrap.servers": task["servers"]}, group_id="contrast-orders", enable_auto_commit=False
    )
    consumer = Consumer(config)
    consumer.assign([TopicPartition(task["topic"], number, 0) for number in range(task["partitions"])])
    order, taken, began = Order(), 0, 0.0
    limit = time.monotonic() + LIMIT_SECONDS
    while taken < task["messages"]:
        message = consumer.poll(1.0)
        if message is None:
            if time.monotonic() > limit:
                raise TimeoutError(
                    f"{taken} of {task['messages']} messages came within {LIMIT_SECONDS:.0f} s"
                )
            continue
        if error := message.error():
            raise KafkaException(error)
        began = began or time.monotonic()
        order.take(message.partition() or 0, number_of(message.value()))
        taken += 1
    ended = time.monotonic()
    consumer.close()
    reply({"seconds": ended - began, **order.found()})


if __name__ == "__main__":
    main()
