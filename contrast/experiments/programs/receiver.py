"""Reads numbered messages from a topic of one partition, at its own pace, until the last one.

Asked: servers, topic, group, work (s for each message), last (number), journal (a file), keeps_place (whether it
commits each message, and begins where its group has got to; else it begins at the start), dies_at (number at which it
kills itself, -1: never). Answers: began, at (s of the machine's clock when each was handled), numbers, cpu (s).
"""

import os
import signal
import time
from pathlib import Path
from typing import IO, Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lockstream.bridge.client import client_config
from lockstream.contrast.cpu import own_cpu_seconds
from lockstream.contrast.experiments.journal import note
from lockstream.contrast.experiments.programs.numbered import number_of
from lockstream.contrast.experiments.starting import say_ready
from lockstream.contrast.rig import asked, reply

ANSWER_SECONDS = 30.0


def main() -> None:
    """Read to the end."""
    task = asked()
    config = client_config(
        {"bootstrap.servers": task["servers"]},
        group_id=task["group"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_queue_backoff_ms=5,
    )
    consumer = Consumer(config)
    consumer.list_topics(task["topic"], timeout=ANSWER_SECONDS)  # connects
    start = TopicPartition(task["topic"], 0, 0)
    consumer.assign([_kept_place(consumer, start) if task["keeps_place"] else start])
    say_ready()
    with Path(task["journal"]).open("a", encoding="ascii") as journal:
        reply(_read(consumer, task, journal))
    consumer.close()


def _kept_place(consumer: Consumer, start: TopicPartition) -> TopicPartition:
    """Return where the group has got to, or the start; whoever keeps the groups' places may just be starting."""
    limit = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            (place,) = consumer.committed([start], timeout=ANSWER_SECONDS)
            return place if place.offset >= 0 else start
        except KafkaException:  # librdkafka calls none of these errors worth repeating
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)


def _read(consumer: Consumer, task: dict[str, Any], journal: IO[str]) -> dict[str, Any]:
    numbers: list[int] = []
    at: list[float] = []
    used, began = 0.0, time.monotonic()
    while not numbers or numbers[-1] < task["last"]:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if error := message.error():
            raise KafkaException(error)
        if not numbers:
            used = own_cpu_seconds()  # waiting for the first one is not reading
        number = number_of(message.value())
        time.sleep(task["work"])
        note(journal, number)
        if number == task["dies_at"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if task["keeps_place"]:
            consumer.commit(message=message, asynchronous=False)
        numbers.append(number)
        at.append(time.monotonic())
    return {"began": began, "at": at, "numbers": numbers, "cpu": own_cpu_seconds() - used}


if __name__ == "__main__":
    main()
