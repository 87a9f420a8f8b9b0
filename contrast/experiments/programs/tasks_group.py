"""A member of a consumer group that works on tasks, until it is ended.

Asked: servers, topic, group, share (of the partitions that it waits for before it is ready), journals (a folder), name.
"""

from confluent_kafka import Consumer, KafkaException

from lockstream.bridge.client import client_config
from lockstream.contrast.experiments.programs.tasks import open_journal, task_of, work
from lockstream.contrast.experiments.starting import say_ready
from lockstream.contrast.rig import asked


def main() -> None:
    """Work on whatever comes in the partitions that the group gives to this member."""
    task = asked()
    config = client_config(
        {"bootstrap.servers": task["servers"]},
        group_id=task["group"],
        auto_offset_reset="earliest",
        heartbeat_interval_ms=200,  # how soon all learn that another one has come
        fetch_wait_max_ms=20,
    )
    consumer, is_ready = Consumer(config), False
    consumer.subscribe([task["topic"]])
    with open_journal(task["journals"], task["name"]) as journal:
        while True:
            message = consumer.poll(0.1)
            if not is_ready and len(consumer.assignment()) == task["share"]:
                is_ready = True
                say_ready()
            if message is None:
                continue
            if error := message.error():
                raise KafkaException(error)
            work(*task_of(message.value()), journal)


if __name__ == "__main__":
    main()
