"""The archiver against a raw write of the same bytes, and against zarr, from an already filled topic; verify."""

import os
import shutil
import statistics
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import zarr
from harness import cpu_seconds, interleaved, median_ratio, summary
from mpi4py import MPI

from lockstream.bridge import Block, Field, open_stream
from lockstream.kafka.archive.archiver import Archiver
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.verify import verify_run
from lockstream.kafka.assembler import StepAssembler
from lockstream.kafka.broker import embedded_broker
from lockstream.kafka.events import Repeated, Step
from lockstream.kafka.log import Cluster, Record, offsets_available, read_range, reader

SHAPE = (2048, 2048)
FRAMES = 48
RAW_GOAL, ZARR_GOAL, VERIFY_GOAL = 0.95, 2.0, 0.5


def measure(folder: Path, rounds: int = 5) -> list[dict[str, Any]]:
    """Race them on the disk that holds `folder`.

    Returns
    -------
    list of dict
        Throughput of the archiver over a raw write and fsync of the same bytes from memory, over a consumer
        that writes zarr (uncompressed, a chunk per step, fsynced), and of `archive verify` over reading the
        same files.
    """
    frame = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    scratch = folder / "archive-scratch"
    used: list[float] = []
    with embedded_broker(folder / "archive-broker") as broker:
        kafka = {"bootstrap.servers": broker.bootstrap_servers}
        run = _fill_topic(kafka, frame)
        contestants = {
            "archiver": lambda: _archive(kafka, run, scratch, used),
            "raw": lambda: _raw(frame, scratch),
            "consumer to raw file": lambda: _consume(kafka, run, scratch),
            "consumer to zarr": lambda: _zarr(kafka, run, scratch),
        }
        seconds = interleaved(contestants, rounds)
        verifying = _race_verify(kafka, run, scratch, rounds)
    nbytes = FRAMES * frame.nbytes
    common = {"seconds": summary(seconds), "bytes": nbytes}
    return [
        {
            "title": "archive: throughput over a raw write and fsync",
            "ratio": median_ratio(seconds, "raw", "archiver"),
            "goal": RAW_GOAL,
            "over consumer to raw file": median_ratio(seconds, "consumer to raw file", "archiver"),
            "archiver's CPU seconds per GB": statistics.median(used) / (nbytes / 1e9),
            **common,
        },
        {
            "title": "archive: throughput over a consumer that writes zarr",
            "ratio": median_ratio(seconds, "consumer to zarr", "archiver"),
            "goal": ZARR_GOAL,
        },
        {
            "title": "archive verify: speed over reading the same files",
            "ratio": median_ratio(verifying, "read", "verify"),
            "goal": VERIFY_GOAL,
            "seconds": summary(verifying),
        },
    ]


def _fill_topic(kafka: dict[str, Any], frame: np.ndarray[Any, Any]) -> str:
    run = f"bench-{uuid.uuid4().hex[:12]}"
    with open_stream(MPI.COMM_SELF, run=run, fields=[Field("u", SHAPE)], kafka=kafka) as stream:
        for step in range(FRAMES):
            stream.publish(step, time=float(step), blocks={"u": Block(frame, (0, 0))})
    return run


def _follow(kafka: dict[str, Any], run: str, scratch: Path) -> None:
    settings = ArchiveSettings(folder=str(scratch), on_end="links")
    if not Archiver(kafka, settings, [run]).follow(Event()):
        raise RuntimeError(f"run {run} was not archived to its end")


def _archive(kafka: dict[str, Any], run: str, scratch: Path, used: list[float]) -> float:
    begun, cpu = time.perf_counter(), cpu_seconds()
    _follow(kafka, run, scratch)
    taken = time.perf_counter() - begun
    used.append(cpu_seconds() - cpu)
    shutil.rmtree(scratch)
    return taken


def _raw(frame: np.ndarray[Any, Any], scratch: Path) -> float:
    """The same bytes, from memory, into files of the same size as the segments, each fsynced."""
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


def _records(kafka: dict[str, Any], run: str) -> Iterator[Record]:
    topic = Cluster(kafka).topic(run).name
    consumer = reader(kafka, enable_partition_eof=True)
    low, high = offsets_available(consumer, topic, 0)
    yield from read_range(consumer, topic, 0, low, high)
    consumer.close()


def _consume(kafka: dict[str, Any], run: str, scratch: Path) -> float:
    """The values as they come into one file, fsynced: no structure, no checks."""
    scratch.mkdir()
    begun = time.perf_counter()
    with (scratch / "run.raw").open("wb") as out:
        for record in _records(kafka, run):
            out.write(record.value or b"")
        out.flush()
        os.fsync(out.fileno())
    taken = time.perf_counter() - begun
    shutil.rmtree(scratch)
    return taken


def _zarr(kafka: dict[str, Any], run: str, scratch: Path) -> float:
    """Whole steps into a zarr array, without compression, every chunk's file fsynced."""
    scratch.mkdir()
    begun = time.perf_counter()
    shape, chunks = (FRAMES, *SHAPE), (1, *SHAPE)
    array = zarr.create_array(scratch / "run.zarr", shape=shape, chunks=chunks, dtype="f4", compressors=None)
    assembler = StepAssembler(run)
    row = 0
    for record in _records(kafka, run):
        for event in assembler.feed(record.offset, record.headers, record.value):
            if isinstance(event, Step) and not isinstance(event, Repeated):
                array[row] = event.array("u")
                row += 1
    for path in scratch.rglob("*"):
        if path.is_file():
            with path.open("rb") as chunk:
                os.fsync(chunk.fileno())
    taken = time.perf_counter() - begun
    shutil.rmtree(scratch)
    return taken


def _race_verify(kafka: dict[str, Any], run: str, scratch: Path, rounds: int) -> dict[str, list[float]]:
    """Both read from the page cache: the stricter race, because nothing hides the checksums' cost."""
    _follow(kafka, run, scratch)
    contestants = {"verify": lambda: _verify(scratch / run), "read": lambda: _read(scratch / run)}
    seconds = interleaved(contestants, rounds)
    shutil.rmtree(scratch)
    return seconds


def _verify(run_folder: Path) -> float:
    begun = time.perf_counter()
    verified = verify_run(run_folder)
    taken = time.perf_counter() - begun
    if verified.faults or verified.steps != FRAMES:
        raise RuntimeError(f"{run_folder} does not verify: {verified.faults}")
    return taken


def _read(run_folder: Path) -> float:
    begun = time.perf_counter()
    for path in segment_paths(run_folder):
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 19):
                pass
    return time.perf_counter() - begun
