"""A member of a share group (KIP-932) that works on tasks, until it is ended.

Asked: servers, topic, group, journals (a folder), name.
"""

from confluent_kafka import KafkaException, ShareConsumer

from lockstream.bridge.client import client_config
from lockstream.contrast.experiments.programs.tasks import open_journal, task_of, work
from lockstream.contrast.rig import asked


def main() -> None:
    """Work on one task after the other; asking for the next one acknowledges the last."""
    task = asked()
    config = client_config(
        {"bootstrap.servers": task["servers"]},
        group_id=task["group"],
        max_poll_records=1,  # a batch of tasks would wait behind its first one
        fetch_wait_max_ms=20,
    )
    consumer = ShareConsumer(config)
    consumer.subscribe([task["topic"]])
    with open_journal(task["journals"], task["name"]) as journal:
        while True:
            for message in consumer.poll(0.1):
                if error := message.error():
                    raise KafkaException(error)
                work(*task_of(message.value()), journal)


if __name__ == "__main__":
    main()
