"""A reader that has read a topic of one partition asks for its past again, by offset and by time.

Asked: servers, topic, messages, again (offset). Answers: received; for each way, by_offset and by_time: first (s from
asking until the first message is here), same (messages that are what they were), due (messages that it asked for).
"""

import time
from typing import Any

import google_crc32c
from confluent_kafka import Consumer, KafkaException, TopicPartition

from lockstream.bridge.client import client_config
from lockstream.contrast.rig import asked, reply

ANSWER_SECONDS = 30.0

Seen = tuple[int, int, int]  # offset, timestamp (ms), checksum


def main() -> None:
    """Read everything; then again from a place, and from a time."""
    task = asked()
    config = client_config(
        {"bootstrap.servers": task["servers"]},
        group_id="contrast-replay",
        enable_auto_commit=False,
        fetch_wait_max_ms=20,  # a fetch that waits at the end of the topic holds up the next one
    )
    consumer = Consumer(config)
    topic, end = task["topic"], task["messages"]
    seen, _ = _read(consumer, topic, 0, end)
    began = time.monotonic()
    by_offset = _answer(seen, task["again"], began, _read(consumer, topic, task["again"], end))
    moment = seen[task["again"]][1]
    began = time.monotonic()
    (place,) = consumer.offsets_for_times([TopicPartition(topic, 0, moment)], timeout=ANSWER_SECONDS)
    # Several messages may bear the same millisecond: the first of them is what is due.
    due = next(offset for offset, timestamp, _ in seen if timestamp >= moment)
    by_time = _answer(seen, due, began, _read(consumer, topic, place.offset, end))
    consumer.close()
    reply({"received": len(seen), "by_offset": by_offset, "by_time": by_time})


def _read(consumer: Consumer, topic: str, offset: int, end: int) -> tuple[list[Seen], float]:
    """Read up to `end`; return what was there, and when the first of it came."""
    consumer.assign([TopicPartition(topic, 0, offset)])
    seen: list[Seen] = []
    first, limit = 0.0, time.monotonic() + ANSWER_SECONDS
    while not seen or seen[-1][0] < end - 1:
        message = consumer.poll(1.0)
        if message is None:
            if time.monotonic() > limit:
                raise TimeoutError(f"{topic} has not been read up to {end} within {ANSWER_SECONDS:.0f} s")
            continue
        if error := message.error():
            raise KafkaException(error)
        first = first or time.monotonic()
        place = message.offset()
        if place is None:
            raise ValueError(f"{topic}: a message without an offset")
        seen.append((place, message.timestamp()[1], google_crc32c.value(message.value() or b"")))
    return seen, first


def _answer(seen: list[Seen], due: int, began: float, again: tuple[list[Seen], float]) -> dict[str, Any]:
    messages, first = again
    same = sum(before == after for before, after in zip(seen[due:], messages, strict=False))
    return {"first": first - began, "same": same, "due": len(seen) - due}


if __name__ == "__main__":
    main()
