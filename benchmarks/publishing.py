"""The bridge against a bare producer loop that sends the same bytes in the same portions."""

import time
import uuid
from pathlib import Path
from typing import Any

import confluent_kafka
import numpy as np
from harness import interleaved, median_ratio, summary
from mpi4py import MPI

from lockstream.bridge import Block, Field, StreamSettings, open_stream
from lockstream.bridge.client import admin_client
from lockstream.bridge.messages import run_topic
from lockstream.bridge.tiles import tile_offsets, tile_shape
from lockstream.bridge.topics import MAX_MESSAGE_BYTES, create_topic, run_topic_settings
from lockstream.kafka.broker import embedded_broker

SHAPE = (2048, 2048)
FRAMES = 24
GOAL = 0.9


def measure(folder: Path, rounds: int = 5) -> list[dict[str, Any]]:
    """Race both against the same embedded broker.

    Returns
    -------
    list of dict
        Throughput of the bridge over that of the bare loop, and seconds for `FRAMES` frames.
    """
    frame = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    with embedded_broker(folder / "bridge-broker") as broker:
        kafka = {"bootstrap.servers": broker.bootstrap_servers}
        seconds = interleaved(
            {"bridge": lambda: _bridge(kafka, frame), "bare": lambda: _bare(kafka, frame)}, rounds
        )
    result = {
        "title": "bridge: throughput over a bare producer loop",
        "ratio": median_ratio(seconds, "bare", "bridge"),
        "goal": GOAL,
        "seconds": summary(seconds),
        "bytes": FRAMES * frame.nbytes,
    }
    return [result]


def _bridge(kafka: dict[str, Any], frame: np.ndarray[Any, Any]) -> float:
    run = f"bench-{uuid.uuid4().hex[:12]}"
    stream = open_stream(MPI.COMM_SELF, run=run, fields=[Field("u", SHAPE)], kafka=kafka)
    begun = time.perf_counter()
    for step in range(FRAMES):
        stream.publish(step, time=float(step), blocks={"u": Block(frame, (0, 0))})
    stream.close()
    taken = time.perf_counter() - begun
    _delete(kafka, run_topic(run))
    return taken


def _bare(kafka: dict[str, Any], frame: np.ndarray[Any, Any]) -> float:
    """What one would write in ten lines: idempotent, acknowledged by all, nothing checked, nothing described."""
    topic = f"bench-{uuid.uuid4().hex[:12]}"
    create_topic(admin_client(kafka), topic, partitions=1, replication=1, settings=run_topic_settings(-1))
    producer = confluent_kafka.Producer(
        {
            **kafka,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 1,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": StreamSettings().buffer_bytes >> 10,
        }
    )
    tiles = [
        slice(o[0], o[0] + e[0])
        for o, e in tile_offsets(SHAPE, tile_shape(SHAPE, 4, StreamSettings().tile_bytes))
    ]
    begun = time.perf_counter()
    for _ in range(FRAMES):
        for tile in tiles:
            while True:
                try:
                    producer.produce(topic, value=frame[tile])
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)
    producer.flush(60)
    taken = time.perf_counter() - begun
    _delete(kafka, topic)
    return taken


def _delete(kafka: dict[str, Any], topic: str) -> None:
    admin = admin_client(kafka)
    admin.delete_topics([topic])[topic].result(30)
