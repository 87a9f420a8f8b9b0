"""How soon a step is acknowledged, and seen by an analysis, against a bare round trip through Kafka.

All clocks are one: CLOCK_MONOTONIC of this machine. Step and reader are two processes.
"""

import os
import statistics
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import confluent_kafka
import numpy as np
from mpi4py import MPI

from lockstream.bridge import Block, Field, open_stream
from lockstream.bridge.client import admin_client
from lockstream.bridge.messages import run_topic
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, create_topic, run_topic_settings
from lockstream.kafka.broker import embedded_broker

SHAPE = (512, 512)  # 1 MiB
ROUNDS = 200
PAUSE_SECONDS = 0.01
GOAL = 2.0
READER = Path(__file__).with_name("latency_reader.py")


def measure(folder: Path, rounds: int = 3) -> list[dict[str, Any]]:
    """Race the two ways to a reader.

    Returns
    -------
    list of dict
        Ratio of the medians and of the 99th percentiles, in milliseconds the figures themselves.
    """
    seen: dict[str, list[float]] = {"lockstream": [], "bare": []}
    with embedded_broker(folder / "latency-broker") as broker:
        for turn in range(rounds + 1):
            for way, send in (("bare", _send_bare), ("lockstream", _send_steps)):
                found = _one(broker.bootstrap_servers, way, send)
                seen[way] += found if turn else []
    results = []
    for name, at in (("median", 0.5), ("p99", 0.99)):
        ours, bare = (_quantile(seen[way], at) for way in ("lockstream", "bare"))
        results.append(
            {
                "title": f"step done → seen by an analysis over a bare round trip, {name}",
                "ratio": ours / bare,
                "milliseconds": {"lockstream": ours * 1e3, "bare": bare * 1e3},
                **({"at_most": GOAL} if name == "p99" else {}),
            }
        )
    return results


def _one(servers: str, way: str, send: Any) -> list[float]:
    """Send `ROUNDS` frames while a reader looks; return how long each took to be seen."""
    run = f"latency-{uuid.uuid4().hex[:12]}"
    topic = run_topic(run)
    kafka = {"bootstrap.servers": servers}
    if way == "bare":
        settings = run_topic_settings(-1)
        create_topic(admin_client(kafka), topic, partitions=1, replication=1, settings=settings)
    command = [sys.executable, str(READER), way, servers, run, str(ROUNDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        sent = send(kafka, run, topic)
        out, _ = reader.communicate(timeout=120)
    seen = [float(line) for line in out.split()]
    admin = admin_client(kafka)
    admin.delete_topics([topic])[topic].result(30)
    return [b - a for a, b in zip(sent, seen, strict=True)]


def _send_steps(kafka: dict[str, Any], run: str, _topic: str) -> list[float]:
    frame, sent = np.random.default_rng(1).random(SHAPE, dtype=np.float32), []
    with open_stream(MPI.COMM_SELF, run=run, fields=[Field("u", SHAPE)], kafka=kafka) as stream:
        time.sleep(1.0)  # the reader is there by then
        for step in range(ROUNDS):
            sent.append(time.monotonic())
            stream.publish(step, time=float(step), blocks={"u": Block(frame, (0, 0))})
            time.sleep(PAUSE_SECONDS)
    return sent


def _send_bare(kafka: dict[str, Any], _run: str, topic: str) -> list[float]:
    frame, sent = np.random.default_rng(1).random(SHAPE, dtype=np.float32), []
    more = {"enable.idempotence": True, "acks": "all", "linger.ms": 1, "message.max.bytes": MAX_MESSAGE_BYTES}
    producer = confluent_kafka.Producer({**kafka, **more})
    time.sleep(1.0)
    for _ in range(ROUNDS):
        sent.append(time.monotonic())
        for half in (frame[:256], frame[256:]):
            producer.produce(topic, value=half)
        deadline = time.monotonic() + PAUSE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            producer.poll(left)
    producer.flush(30)
    return sent


def _quantile(values: list[float], at: float) -> float:
    return statistics.quantiles(values, n=100)[round(at * 100) - 1]


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        print(measure(Path(scratch)), os.getloadavg())
