"""How soon a step is acknowledged, and seen by an analysis, against a bare round trip through Kafka.

All clocks are one: CLOCK_MONOTONIC of this machine. Step and reader are two processes. Frames of 1 MiB go one at a
time: the next one when the last one is acknowledged, and 10 ms have passed.
"""

import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import confluent_kafka
import numpy as np
from mpi4py import MPI

from lockstream.bridge import Block, Field, open_stream
from lockstream.bridge.client import admin_client
from lockstream.bridge.messages import run_topic
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, create_topic, run_topic_settings
from lockstream.kafka.broker import embedded_broker

SHAPE = (512, 512)  # 1 MiB
FRAMES, FIRST = 220, 20  # the first ones warm everything up
PERIOD_SECONDS = 0.01
ACKNOWLEDGED_SECONDS = 30.0
GOAL = 2.0
READER = Path(__file__).with_name("latency_reader.py")


class _Sent(NamedTuple):
    """When frames were done and when they were acknowledged, in seconds of the machine's clock."""

    done: list[float]
    acknowledged: list[float]


Send = Callable[[dict[str, Any], str, Callable[[], None]], _Sent]


def measure(folder: Path, rounds: int = 3) -> list[dict[str, Any]]:
    """Race the two ways to the broker and to a reader.

    Returns
    -------
    list of dict
        Ratio of the medians and of the 99th percentiles, each the median over the rounds; in milliseconds the
        figures themselves.
    """
    ways: dict[str, Send] = {"bare": _send_bare, "lockstream": _send_steps}
    taken: dict[str, list[dict[str, list[float]]]] = {way: [] for way in ways}
    with embedded_broker(folder / "latency-broker") as broker:
        for turn in range(rounds + 1):
            for way in list(ways)[:: 1 if turn % 2 else -1]:
                found = _one(broker.bootstrap_servers, way, ways[way])
                if turn:
                    taken[way].append(found)
    return [
        _result(taken, goal, name, at)
        for goal in ("acknowledged", "seen by an analysis")
        for name, at in (("median", 50), ("p99", 99))
    ]


def _result(
    taken: dict[str, list[dict[str, list[float]]]], goal: str, name: str, percent: int
) -> dict[str, Any]:
    ours, bare = (
        [statistics.quantiles(found[goal], n=100)[percent - 1] for found in taken[way]]
        for way in ("lockstream", "bare")
    )
    return {
        "title": f"step done → {goal}, over a bare round trip, {name}",
        "ratio": statistics.median(a / b for a, b in zip(ours, bare, strict=True)),
        "milliseconds": {"lockstream": statistics.median(ours) * 1e3, "bare": statistics.median(bare) * 1e3},
        **({"at_most": GOAL} if percent == 99 else {}),
    }


def _one(servers: str, way: str, send: Send) -> dict[str, list[float]]:
    """Send frames while a reader looks; return how long each took."""
    run = f"latency-{uuid.uuid4().hex[:12]}"
    topic, kafka = run_topic(run), {"bootstrap.servers": servers}
    if way == "bare":
        settings = run_topic_settings(-1)
        create_topic(admin_client(kafka), topic, partitions=1, replication=1, settings=settings)
    command = [sys.executable, str(READER), way, servers, run, str(FRAMES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        try:
            assert reader.stdout is not None
            sent = send(kafka, run, lambda: _await_ready(reader.stdout))
            out, _ = reader.communicate(timeout=120)
        finally:
            reader.kill()
    admin = admin_client(kafka)
    admin.delete_topics([topic])[topic].result(30)
    seen = [float(line) for line in out.split()]
    times = {"acknowledged": sent.acknowledged, "seen by an analysis": seen}
    return {goal: [b - a for a, b in zip(sent.done, at, strict=True)][FIRST:] for goal, at in times.items()}


def _await_ready(out: IO[str] | None) -> None:
    if out is None or out.readline().strip() != "ready":
        raise RuntimeError("the reader did not come up")


def _send_steps(kafka: dict[str, Any], run: str, await_reader: Callable[[], None]) -> _Sent:
    """Acknowledged is what `Stream.sync` says, an answer of the publisher's included.

    Not what `Stream.progress` counts: that is renewed four times a second.
    """
    frame, sent = np.random.default_rng(1).random(SHAPE, dtype=np.float32), _Sent([], [])
    with open_stream(MPI.COMM_SELF, run=run, fields=[Field("u", SHAPE)], kafka=kafka) as stream:
        await_reader()
        for step in range(FRAMES):
            sent.done.append(time.monotonic())
            stream.publish(step, time=float(step), blocks={"u": Block(frame, (0, 0))})
            _note_acknowledged(sent, stream.sync(ACKNOWLEDGED_SECONDS))
            time.sleep(max(0.0, sent.done[-1] + PERIOD_SECONDS - time.monotonic()))
    return sent


def _send_bare(kafka: dict[str, Any], run: str, await_reader: Callable[[], None]) -> _Sent:
    frame, sent = np.random.default_rng(1).random(SHAPE, dtype=np.float32), _Sent([], [])
    more = {"enable.idempotence": True, "acks": "all", "linger.ms": 1, "message.max.bytes": MAX_MESSAGE_BYTES}
    producer = confluent_kafka.Producer({**kafka, **more})
    await_reader()
    for _ in range(FRAMES):
        sent.done.append(time.monotonic())
        for half in (frame[:256], frame[256:]):
            producer.produce(run_topic(run), value=half)
        _note_acknowledged(sent, producer.flush(ACKNOWLEDGED_SECONDS) == 0)
        time.sleep(max(0.0, sent.done[-1] + PERIOD_SECONDS - time.monotonic()))
    return sent


def _note_acknowledged(sent: _Sent, is_acknowledged: bool) -> None:
    if not is_acknowledged:
        raise RuntimeError(f"a frame was not acknowledged within {ACKNOWLEDGED_SECONDS:g} seconds")
    sent.acknowledged.append(time.monotonic())


if __name__ == "__main__":
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        for row in measure(Path(scratch)):
            print(row)
        print(os.getloadavg())
