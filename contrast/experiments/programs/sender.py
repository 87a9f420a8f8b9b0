"""Sends numbered messages to a topic, one at a time or as fast as it goes, and says what became of them.

Asked: servers, broker_pid, topic, messages, nbytes, interval (s between two; 0: none), partitions (taken in turn),
settings (of the client). Answers: broker_cpu (s that the broker had used before the first message), began, ended,
acknowledged_at, sent (s of the machine's clock; sent for each message), calls (s in each call that sends), waits (s
from each call until its acknowledgement, None without one), acknowledged (messages), refusals (how many messages, by
the name of the error), cpu (s).
"""

import time
from collections import Counter
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from lockstream.bridge.client import client_config
from lockstream.contrast.cpu import cpu_seconds, own_cpu_seconds
from lockstream.contrast.experiments.programs.numbered import numbered
from lockstream.contrast.experiments.starting import say_ready
from lockstream.contrast.rig import asked, reply

FLUSH_SECONDS = 60.0
LOOK_SECONDS = 0.001


def main() -> None:
    """Send, wait for the last acknowledgement, answer."""
    task = asked()
    producer = Producer(
        client_config({"bootstrap.servers": task["servers"], **task["settings"]}, linger_ms=0)
    )
    producer.list_topics(task["topic"], timeout=30)  # connects
    say_ready()
    reply(_send(producer, task))


def _send(producer: Producer, task: dict[str, Any]) -> dict[str, Any]:
    sent: list[float] = []
    calls: list[float] = []
    waits: list[float | None] = [None] * task["messages"]
    refusals: Counter[str] = Counter()
    broker_cpu = cpu_seconds(task["broker_pid"])
    used, began = own_cpu_seconds(), time.monotonic()
    for number in range(task["messages"]):
        payload = numbered(number, task["nbytes"])
        _until(producer, began + number * task["interval"])
        at = time.monotonic()

        def note(error: KafkaError | None, _: Message, number: int = number, at: float = at) -> None:
            if error is None:
                waits[number] = time.monotonic() - at
            else:
                refusals[error.name()] += 1

        _produce(producer, task["topic"], payload, number % task["partitions"], note)
        sent.append(at)
        calls.append(time.monotonic() - at)
    ended = time.monotonic()
    producer.flush(FLUSH_SECONDS)
    return {
        "broker_cpu": broker_cpu,
        "began": began,
        "ended": ended,
        "acknowledged_at": time.monotonic(),
        "sent": sent,
        "calls": calls,
        "waits": waits,
        "acknowledged": sum(wait is not None for wait in waits),
        "refusals": refusals,
        "cpu": own_cpu_seconds() - used,
    }


def _produce(producer: Producer, topic: str, payload: bytes, partition: int, note: Any) -> None:
    """Send; where the client's queue is full, wait as any program would have to."""
    while True:
        try:
            producer.produce(topic, payload, partition=partition, on_delivery=note)
            return
        except BufferError:
            producer.poll(0.01)


def _until(producer: Producer, due: float) -> None:
    """Serve acknowledgements until the next message is due; asleep, as polls of less than 1 ms do not wait."""
    producer.poll(0)
    while (left := due - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_SECONDS))
        producer.poll(0)


if __name__ == "__main__":
    main()
