"""Runs as their records, made without MPI and without Kafka: what a publisher would have sent, to be bent at will."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from lockstream.bridge.messages import DTYPES, Axis, Field, Manifest, Message, RunEnded, RunStarted, Tile
from lockstream.bridge.tiles import tile_offsets, tile_shape
from lockstream.bridge.wire import crc32c, encode
from lockstream.kafka.archive.run_archiver import RunArchiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.events import Event
from lockstream.kafka.log import Topic

Record = tuple[list[tuple[str, bytes]], bytes]
Log = list[Record]
TWO_FIELDS = (Field("u", (6, 5), "f4", units="K"), Field("n", (7,), "i2", axes=(Axis("cell"),)))
JUNK: Record = ([("x", b"y")], b"not one of ours")


def record(message: Message) -> Record:
    """A message as Kafka would deliver it."""
    headers, value = encode(message)
    return headers, value if isinstance(value, bytes) else np.ascontiguousarray(value).tobytes()


@dataclass(frozen=True)
class FakeRun:
    """One attempt of a run, its fields filled with random numbers that depend on seed, attempt and step."""

    run: str = "fake"
    fields: tuple[Field, ...] = (Field("u", (6, 5), "f4", units="K"),)
    tile_bytes: int = 48
    partitions: int = 1
    attempt: int = 0
    after_step: int = -1
    seed: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def started(self) -> RunStarted:
        tiles = {f.name: tile_shape(f.shape, DTYPES[f.dtype].itemsize, self.tile_bytes) for f in self.fields}
        return RunStarted(
            run=self.run,
            attempt=self.attempt,
            fields=self.fields,
            tiles=tiles,
            partitions=self.partitions,
            after_step=self.after_step,
            time_units="s",
            started=f"2026-01-{self.attempt + 1:02d}T00:00:00.000+00:00",
            **self.more,
        )

    def array(self, name: str, step: int) -> np.ndarray[Any, Any]:
        """The field's elements at one step; every floating-point one has a NaN and a negative zero."""
        declared = self.started.field(name)
        assert declared is not None
        dtype = DTYPES[declared.dtype]
        random = np.random.default_rng([self.seed, self.attempt, step, *map(ord, name)])
        size = int(np.prod(declared.shape))
        if dtype.kind in "iu":
            return np.frombuffer(random.bytes(size * dtype.itemsize), dtype).reshape(declared.shape)
        values = random.standard_normal(size).astype(dtype)
        values[step % size], values[(step + 1) % size] = np.nan, -0.0
        return values.reshape(declared.shape)

    def tiles(self, step: int) -> list[Tile]:
        return [
            self._tile(declared, step, offset, extent)
            for declared in self.fields
            for offset, extent in tile_offsets(declared.shape, self.started.tiles[declared.name])
        ]

    def manifest(self, step: int) -> Manifest:
        records = tuple(tile.record for tile in self.tiles(step))
        diagnostics = {"mass": step * 0.1, "lost": None if step % 2 else 1.0}
        return Manifest(
            run=self.run,
            attempt=self.attempt,
            step=step,
            time=step / 3,
            tiles=records,
            diagnostics=diagnostics,
        )

    def ended(self, steps: Sequence[int] = (), status: Any = "completed") -> RunEnded:
        return RunEnded(
            run=self.run,
            attempt=self.attempt,
            status=status,
            steps=len(steps),
            last_step=steps[-1] if steps else -1,
        )

    def step(self, step: int) -> Log:
        return [record(tile) for tile in self.tiles(step)] + [record(self.manifest(step))]

    def logs(self, steps: Sequence[int], status: str | None = "completed") -> list[Log]:
        """The log of each partition; without run-ended if `status` is None."""
        logs: list[Log] = [[record(self.started)] for _ in range(self.partitions)]
        for number, step in enumerate(steps):
            logs[number % self.partitions] += self.step(step)
        if status:
            for log in logs:
                log.append(record(self.ended(steps, status)))
        return logs

    def _tile(self, declared: Field, step: int, offset: tuple[int, ...], extent: tuple[int, ...]) -> Tile:
        region = tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))
        payload = np.ascontiguousarray(self.array(declared.name, step)[region])
        return Tile(
            run=self.run,
            attempt=self.attempt,
            step=step,
            field=declared.name,
            dtype=declared.dtype,
            shape=declared.shape,
            offset=offset,
            extent=extent,
            raw_size=payload.nbytes,
            crc32c=crc32c(payload),
            payload=payload.tobytes(),
        )


def topic_of(
    run: str, partitions: int = 1, topic_id: str = "topic-1", cluster_id: str = "cluster-1"
) -> Topic:
    return Topic(run, f"lockstream.run.{run}", topic_id, cluster_id, partitions)


def interleaved(logs: Sequence[Log], begin: dict[int, int]) -> Iterable[tuple[int, int, Record]]:
    """Yield ``(partition, offset, record)`` of several partitions in turns."""
    readers = {p: iter(range(begin[p], len(log))) for p, log in enumerate(logs)}
    for partition in cycle(tuple(readers)):
        if not readers:
            return
        if partition in readers:
            offset = next(readers[partition], None)
            if offset is None:
                del readers[partition]
            else:
                yield partition, offset, logs[partition][offset]


def archive(folder: Path, logs: Sequence[Log], run: str = "fake", **settings: Any) -> list[Event]:
    """Archive logs into `folder` as the archiver would, from where the archive says to the end of the logs."""
    events: list[Event] = []
    with RunArchiver(folder, topic_of(run, len(logs)), ArchiveSettings(**settings)) as archiver:
        for partition, offset, (headers, value) in interleaved(logs, archiver.next_offsets):
            events.extend(archiver.take(partition, offset, headers, value))
            archiver.tick()
        archiver.seal()
        if archiver.status:
            archiver.finish()
    return events
