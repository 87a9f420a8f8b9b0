"""Compressing at the source: what it saves on a real field, and what it costs on the rank and in the archiver."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import interleaved, summary
from mpi4py import MPI

from lockstream.bridge.codecs import deflate, inflate
from lockstream.bridge.rounding import round_mantissa
from lockstream.bridge.tiles import tile_offsets, tile_shape
from lockstream.bridge.wire import crc32c
from lockstream.mpi_jobs.config import read_configuration
from lockstream.mpi_jobs.initial import make_initial_state
from lockstream.mpi_jobs.observers import Snapshot
from lockstream.mpi_jobs.simulation import run_simulation

SHAPE = (1024, 1024)
STEPS = 2000
KEEP_BITS = 10
Array = np.ndarray[Any, Any]


def measure(rounds: int = 5) -> list[dict[str, Any]]:
    """Compress and restore Gray-Scott's v after `STEPS` steps, float32, as it is and rounded.

    Returns
    -------
    list of dict
        Bytes before over bytes after; seconds per GB of raw bytes on the rank (round, compress) and in the
        archiver (inflate, checksum), and of the checksum alone, which an uncompressed tile costs there.
    """
    field = _developed_field()
    rounded = field.copy()
    round_mantissa(rounded, KEEP_BITS)
    return [
        _race("as it is", field, lambda tile: tile, rounds),
        _race(f"rounded to {KEEP_BITS} bits", rounded, _round, rounds),
    ]


def _race(name: str, field: Array, prepare: Callable[[Array], Array], rounds: int) -> dict[str, Any]:
    tiles = list(_tiles(field))
    packed = [deflate(tile) for tile in tiles]
    contestants = {
        "rank": lambda: _timed(lambda: [deflate(prepare(tile)) for tile in tiles]),
        "archiver": lambda: _timed(
            lambda: [crc32c(inflate(p, 4, t.nbytes)) for p, t in zip(packed, tiles, strict=True)]
        ),
        "archiver, uncompressed": lambda: _timed(lambda: [crc32c(tile) for tile in tiles]),
    }
    seconds = interleaved(contestants, rounds)
    per_gb = {key: value["median"] / (field.nbytes / 1e9) for key, value in summary(seconds).items()}
    return {
        "title": f"compression: bytes saved on a developed field, {name} (times smaller)",
        "ratio": field.nbytes / sum(map(len, packed)),
        "seconds per GB": per_gb,
        "bytes": field.nbytes,
    }


def _developed_field() -> Array:
    overrides = (
        "run.id=bench",
        "run.model=gray-scott",
        f"run.steps={STEPS}",
        f"domain.shape=[{SHAPE[0]}, {SHAPE[1]}]",
        "domain.spacing=[0.009765625, 0.009765625]",
        f"stream.every={STEPS}",
    )
    configuration = read_configuration(None, {}, overrides, ranks=1)
    keeper = _Keeper()
    run_simulation(MPI.COMM_SELF, configuration, make_initial_state(MPI.COMM_SELF, configuration), [keeper])
    return keeper.field


class _Keeper:
    """An observer that keeps the last v."""

    field: Array

    def observe(self, snapshot: Snapshot) -> None:
        self.field = np.ascontiguousarray(snapshot.blocks["v"])

    def close(self, error: BaseException | None) -> None:
        pass


def _tiles(field: Array) -> list[Array]:
    shape = tile_shape(field.shape, field.itemsize, 1 << 19)
    return [
        np.ascontiguousarray(field[tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))])
        for offset, extent in tile_offsets(field.shape, shape)
    ]


def _round(tile: Array) -> Array:
    round_mantissa(tile, KEEP_BITS)
    return tile


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
