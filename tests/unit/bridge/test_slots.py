"""Memory that two processes share: found by its mark, counted in, and refused where it is something else."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lockstream.bridge.errors import UserError
from lockstream.bridge.messages import Field
from lockstream.bridge.publisher_process import _throttle_count
from lockstream.bridge.slots import COUNTERS, Slots, total_bytes

FIELDS = (Field("u", (5, 7), "f8"), Field("n", (3,), "i2"))


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots.create(FIELDS, 3)
    yield made
    made.close()


def test_what_one_writes_the_other_reads(slots: Slots) -> None:
    other = Slots.attach(slots.path, slots.mark, FIELDS, 3)
    assert other is not None
    for number, frame in enumerate(slots.frames):
        for name, array in frame.items():
            array[...] = 10 * number + len(name)
    for mine, theirs in zip(slots.frames, other.frames, strict=True):
        for field in FIELDS:
            assert theirs[field.name].shape == field.shape
            assert np.array_equal(theirs[field.name], mine[field.name])
    slots.count(acknowledged=7, dropped=2)
    assert other.counted() == dict.fromkeys(COUNTERS, 0) | {"acknowledged": 7, "dropped": 2}
    other.close()


def test_other_memory_is_not_taken_for_it(slots: Slots, tmp_path: Path) -> None:
    assert Slots.attach(slots.path, bytes(16), FIELDS, 3) is None
    assert Slots.attach(slots.path, slots.mark, FIELDS, 2) is None
    assert Slots.attach(str(tmp_path / "nothing"), slots.mark, FIELDS, 3) is None
    (tmp_path / "file").write_bytes(bytes(total_bytes(FIELDS, 3)))
    assert Slots.attach(str(tmp_path / "file"), slots.mark, FIELDS, 3) is None
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        Slots.attach(slots.path, bytes(16), FIELDS, 3)
    assert len(os.listdir("/proc/self/fd")) == before


def test_more_than_there_is_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"3 frames take \d+ bytes of shared memory, \d+ are available; publish fewer"
    ):
        Slots.create([Field("u", (1 << 40,), "f8")], 3)


def test_delays_of_a_quota_are_counted(slots: Slots) -> None:
    throttled = _throttle_count(slots)
    for seconds in (0.25, 1.5, 0.0):
        throttled(seconds)
    assert (slots.counted()["throttled"], slots.counted()["throttled_ms"]) == (2, 1750)
