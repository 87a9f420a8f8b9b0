"""The messages that ``tests/golden`` holds as bytes, by the names of the files there."""

from collections.abc import Mapping

import msgspec

from lockstream.bridge.messages import (
    Axis,
    Field,
    Gap,
    Manifest,
    Message,
    RunEnded,
    RunStarted,
    Steered,
    Tile,
    TileRecord,
)

_ELEMENTS = bytes.fromhex("0000803f 000000c0 0000c07f 00000080 cdcccc3d ffff7f7f")  # 1, -2, NaN, -0, 0.1, max

_TILE = Tile(
    run="tokamak-7",
    attempt=2,
    step=40,
    field="T",
    dtype="f4",
    shape=(4, 3),
    offset=(2, 0),
    extent=(2, 3),
    raw_size=24,
    crc32c="76e18cf2",
    payload=_ELEMENTS,
)

MESSAGES: Mapping[str, Message] = {
    "run-started": RunStarted(
        run="tokamak-7",
        attempt=2,
        fields=(
            Field("T", (4, 3), "f4", "K", "temperature", (Axis("y", 0.5, 0.25, "m"), Axis("x", units="m"))),
            Field("flag", (5,), "u1", axes=(Axis("cell"),)),
        ),
        tiles={"T": (2, 3), "flag": (5,)},
        partitions=3,
        after_step=39,
        steps_before=20,
        time_units="s",
        configuration={"run": {"steps": 100, "name": "Überlauf"}, "model": {"k": 0.5, "tags": ["a", None]}},
        environment={"host": "node-1", "slurm_job_id": "4711"},
        started="2026-01-01T00:00:00.000+00:00",
    ),
    "tile": _TILE,
    "tile-deflate": msgspec.structs.replace(
        _TILE,
        codec="deflate",
        crc32c="a9c982db",
        payload=bytes.fromhex(
            "78da636040800630b007030021c3047b"
        ),  # six times 1: shuffled, then deflated by zlib
    ),
    "manifest": Manifest(
        run="tokamak-7",
        attempt=2,
        step=40,
        time=1.25,
        tiles=(
            TileRecord("T", (0, 0), (2, 3), "00000000"),
            TileRecord("T", (2, 0), (2, 3), "76e18cf2"),
            TileRecord("flag", (0,), (5,), "ffffffff"),
        ),
        diagnostics={"mass": 0.1, "energy": -1e300, "lost": None},
    ),
    "gap": Gap(run="tokamak-7", attempt=2, step=41, reason="buffer full"),
    "steered": Steered(
        run="tokamak-7",
        attempt=2,
        id="0123456789abcdef0123456789abcdef",
        command="set",
        who="eva@node-1",
        sent="2026-01-01T00:00:30.000+00:00",
        step=41,
        key="model.k",
        old=0.5,
        new=0.25,
    ),
    "run-ended": RunEnded(
        run="tokamak-7",
        attempt=2,
        status="stopped",
        reason="time limit",
        steps=2,
        last_step=41,
        ended="2026-01-01T00:01:00.000+00:00",
        measured={"publish_seconds": 0.125},
    ),
}
