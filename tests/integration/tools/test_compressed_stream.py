"""One stream three times, plain, compressed and rounded: the same archive, smaller, its chunks untouched on the way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mpi4py import MPI
from support.kafka_logs import follow, options, verified
from support.programs import LOCKSTREAM, mpirun

from lockstream.bridge import Block, Field, StreamSettings, open_stream
from lockstream.bridge.messages import Axis, Tile, run_topic
from lockstream.bridge.rounding import relative_error_bound
from lockstream.bridge.wire import decode
from lockstream.kafka import open_run
from lockstream.kafka.broker import BrokerInfo
from lockstream.kafka.log import read_range, reader

Command = Callable[..., Any]
Array = np.ndarray[Any, Any]
FIELDS = (
    Field("smooth", (50, 64), "f4"),  # 12 rows make a tile: the last one is cut off
    Field("noise", (50, 64), "f4"),
    Field("mixed", (40, 32), "f8", axes=(Axis("j"), Axis("i"))),  # its upper half is noise
)
TILE_BYTES = 12 * 64 * 4
STEPS = 4


def frame(name: str, step: int) -> Array:
    random = np.random.default_rng([step, len(name)])
    if name == "smooth":
        y, x = np.mgrid[:50, :64]
        return np.sin((x + step) / 20).astype("f4") * np.float32(y // 10)
    if name == "noise":
        return random.integers(0, 1 << 30, (50, 64), "u4").view("f4")
    mixed = np.zeros((40, 32))
    mixed[:20] = random.integers(0, 1 << 62, (20, 32), "u8").view("f8")
    return mixed


def publish(broker: BrokerInfo, run: str, **settings: Any) -> None:
    stream = open_stream(
        MPI.COMM_SELF,
        run=run,
        fields=FIELDS,
        kafka=options(broker),
        settings=StreamSettings(tile_bytes=TILE_BYTES, **settings),
    )
    with stream:
        for step in range(STEPS):
            blocks = {field.name: Block(frame(field.name, step), (0, 0)) for field in FIELDS}
            stream.publish(step, time=step / 2, blocks=blocks)


def tiles(broker: BrokerInfo, run: str) -> Iterator[Tile]:
    consumer = reader(options(broker), enable_partition_eof=True)
    try:
        for sent in read_range(consumer, run_topic(run), 0, 0, 1 << 30):
            message = decode(sent.headers, sent.value)
            if isinstance(message, Tile):
                yield message
    finally:
        consumer.close()


@dataclass(frozen=True)
class Archived:
    """Runs of the same frames, and their archive."""

    folder: Path
    plain: str
    packed: str
    rounded: str


@pytest.fixture(scope="module")
def archived(broker: BrokerInfo, tmp_path_factory: pytest.TempPathFactory) -> Archived:
    made = Archived(tmp_path_factory.mktemp("archive"), "as-it-is", "deflated", "rounded")
    publish(broker, made.plain)
    publish(broker, made.packed, codec="deflate")
    publish(broker, made.rounded, codec="deflate", rounding={"smooth": 6, "mixed": 12})
    follow(broker, made.folder, made.plain, made.packed, made.rounded)
    return made


def test_the_archive_is_the_same_and_sound(
    broker: BrokerInfo, lockstream: Command, archived: Archived
) -> None:
    said = lockstream("archive", "diff", archived.folder / archived.plain, archived.folder / archived.packed)
    assert (said.code, said.err) == (0, "")
    assert verified(broker, archived.folder / archived.packed).steps == STEPS
    with h5py.File(archived.folder / archived.packed / "run.h5") as file:
        for field in FIELDS:
            assert file[field.name].shuffle
            assert file[field.name].compression == "gzip"
            for step in range(STEPS):
                assert file[field.name][step].tobytes() == frame(field.name, step).tobytes()


def test_chunks_are_the_values_of_the_messages(broker: BrokerInfo, archived: Archived) -> None:
    codecs = dict.fromkeys(("smooth", "noise", "mixed"), frozenset[str]())
    with h5py.File(archived.folder / archived.packed / "run.h5") as file:
        for tile in tiles(broker, archived.packed):
            codecs[tile.field] |= {tile.codec}
            variable = file[tile.field]
            mask, chunk = variable.id.read_direct_chunk((tile.step, *tile.offset))
            if tile.extent == variable.chunks[1:]:
                assert chunk == tile.payload
                assert mask == (0 if tile.codec == "deflate" else 0xFFFF)
            else:
                assert mask == 0xFFFF
                whole = np.frombuffer(chunk, variable.dtype).reshape(variable.chunks[1:])
                rows = slice(tile.offset[0], tile.offset[0] + tile.extent[0])
                assert whole[: tile.extent[0]].tobytes() == frame(tile.field, tile.step)[rows].tobytes()
                assert not whole[tile.extent[0] :].any()
    assert codecs == {"smooth": {"deflate"}, "noise": {"none"}, "mixed": {"deflate", "none"}}


def test_it_is_smaller(lockstream: Command, archived: Archived) -> None:
    sizes = [
        (archived.folder / run / "run.h5").stat().st_size
        for run in (archived.plain, archived.packed, archived.rounded)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_rounded_fields_keep_their_bound_and_the_others_are_exact(archived: Archived) -> None:
    with open_run(archived.folder / archived.rounded) as data:
        assert data["smooth"].attrs["quantization_nsb"] == 6
        assert "quantization_nsb" not in data["noise"].attrs
        for step in range(STEPS):
            assert data["noise"][step].values.tobytes() == frame("noise", step).tobytes()
            for name, bits in (("smooth", 6), ("mixed", 12)):
                exact, kept = frame(name, step).astype("f8"), data[name][step].values.astype("f8")
                bound = data[name].attrs["maximum_relative_error"]
                assert bound == relative_error_bound(bits)
                finite = np.isfinite(exact) & (np.abs(exact) > np.finfo("f4").tiny)
                assert (np.abs(kept - exact) <= bound * np.abs(exact))[finite].all()
                assert kept.tobytes() != exact.tobytes()


@pytest.mark.parametrize(
    ("rounding", "message"),
    [
        ("{w=10}", "stream.rounding.w = 10: no field of that name has dtype f4 or f8"),
        ("{v=23}", "stream.rounding.v = 23: keep 1 to 22 mantissa bits"),
        ("10", "stream.rounding = 10: Expected `object`"),
    ],
)
def test_a_rounding_that_cannot_be_is_refused_in_one_sentence(
    broker: BrokerInfo, run_id: str, tmp_path: Path, rounding: str, message: str
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f'[run]\nid = "{run_id}"\nmodel = "gray-scott"\nsteps = 2\n[domain]\nshape = [16, 16]\n'
        f'[kafka]\n"bootstrap.servers" = "{broker.bootstrap_servers}"\n'
    )
    ended = mpirun(2, LOCKSTREAM, "simulate", config, "--set", f"stream.rounding={rounding}")
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr
