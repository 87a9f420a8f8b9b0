"""The archiver against a raw write and fsync of the same bytes, from an already filled topic."""

import os
import shutil
import time
import uuid
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from harness import cpu_seconds, interleaved, median_ratio, summary
from mpi4py import MPI

from lockstream.bridge import Block, Field, open_stream
from lockstream.kafka.archive.archiver import Archiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.verify import verify_run
from lockstream.kafka.broker import embedded_broker
from lockstream.kafka.log import Cluster, offsets_available, read_range, reader

SHAPE = (2048, 2048)
FRAMES = 32
GOAL = 0.7


def measure(folder: Path, rounds: int = 5) -> dict[str, Any]:
    """Race them on the disk that holds `folder`.

    Returns
    -------
    dict
        Throughput of the archiver over the raw write, and over a consumer that writes a raw file.
    """
    run = f"bench-{uuid.uuid4().hex[:12]}"
    frame = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    scratch = folder / "archive-scratch"
    used: list[float] = []
    with embedded_broker(folder / "archive-broker") as broker:
        kafka = {"bootstrap.servers": broker.bootstrap_servers}
        with open_stream(MPI.COMM_SELF, run=run, fields=[Field("u", SHAPE)], kafka=kafka) as stream:
            for step in range(FRAMES):
                stream.publish(step, time=float(step), blocks={"u": Block(frame, (0, 0))})
        contestants = {
            "archiver": lambda: _archive(kafka, run, scratch, used),
            "raw": lambda: _raw(frame, scratch),
            "consumer to raw file": lambda: _consume(kafka, run, scratch),
        }
        seconds = interleaved(contestants, rounds)
    nbytes = FRAMES * frame.nbytes
    return {
        "title": "archive: throughput over a raw write and fsync",
        "ratio": median_ratio(seconds, "raw", "archiver"),
        "goal": GOAL,
        "over consumer to raw file": median_ratio(seconds, "consumer to raw file", "archiver"),
        "archiver's CPU seconds per GB": sorted(used)[len(used) // 2] / (nbytes / 1e9),
        "seconds": summary(seconds),
        "bytes": nbytes,
    }


def _archive(kafka: dict[str, Any], run: str, scratch: Path, used: list[float]) -> float:
    settings = ArchiveSettings(folder=str(scratch), on_end="links")
    begun, cpu = time.perf_counter(), cpu_seconds()
    if not Archiver(kafka, settings, [run]).follow(Event()):
        raise RuntimeError(f"run {run} was not archived to its end")
    taken = time.perf_counter() - begun
    used.append(cpu_seconds() - cpu)
    if verify_run(scratch / run).steps != FRAMES:
        raise RuntimeError(f"run {run} was not archived whole")
    shutil.rmtree(scratch)
    return taken


def _raw(frame: np.ndarray[Any, Any], scratch: Path) -> float:
    """The same bytes into files of the same size as the segments, each fsynced."""
    scratch.mkdir()
    per_file = max(1, ArchiveSettings().segment_bytes // frame.nbytes)
    begun = time.perf_counter()
    for first in range(0, FRAMES, per_file):
        with (scratch / f"{first}.raw").open("wb") as out:
            for _ in range(min(per_file, FRAMES - first)):
                out.write(frame)
            out.flush()
            os.fsync(out.fileno())
    taken = time.perf_counter() - begun
    shutil.rmtree(scratch)
    return taken


def _consume(kafka: dict[str, Any], run: str, scratch: Path) -> float:
    """The values as they come into one file, fsynced: no structure, no checks."""
    scratch.mkdir()
    begun = time.perf_counter()
    topic = Cluster(kafka).topic(run).name
    consumer = reader(kafka, enable_partition_eof=True)
    low, high = offsets_available(consumer, topic, 0)
    with (scratch / "run.raw").open("wb") as out:
        for record in read_range(consumer, topic, 0, low, high):
            out.write(record.value or b"")
        out.flush()
        os.fsync(out.fileno())
    consumer.close()
    taken = time.perf_counter() - begun
    shutil.rmtree(scratch)
    return taken
