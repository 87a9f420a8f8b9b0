"""Frames in shared memory: who may map them, who may not, and what both sides count."""

import os
from pathlib import Path

import numpy as np
import pytest

from lockstream.bridge import slots as slots_module
from lockstream.bridge.errors import UserError
from lockstream.bridge.messages import Field
from lockstream.bridge.slots import COUNTERS, PAGE, Slots, available_bytes, total_bytes

FIELDS = [Field("u", (6, 5), "f4"), Field("n", (7,), "i2"), Field("big", (33, 64), "f8")]


def test_what_one_writes_the_other_reads() -> None:
    maker = Slots.create(FIELDS, 3)
    other = Slots.attach(maker.path, maker.mark, FIELDS, 3)
    assert other is not None
    for number, frame in enumerate(maker.frames):
        for field in FIELDS:
            frame[field.name][...] = number + len(field.name)
    for number, frame in enumerate(other.frames):
        assert {name: (array.shape, array.dtype) for name, array in frame.items()} == {
            field.name: (field.shape, np.dtype(field.dtype)) for field in FIELDS
        }
        for field in FIELDS:
            assert (frame[field.name] == number + len(field.name)).all()
    other.frames[2]["big"][32, 63] = -1
    assert maker.frames[2]["big"][32, 63] == -1
    other.count(acknowledged=7, outstanding=1 << 40)
    maker.count(accepted=9)
    assert maker.counted() == dict.fromkeys(COUNTERS, 0) | {
        "acknowledged": 7,
        "outstanding": 1 << 40,
        "accepted": 9,
    }
    for slots in (maker, other):
        slots.close()


def test_it_has_no_name_and_no_child_inherits_it() -> None:
    slots = Slots.create(FIELDS, 1)
    assert "memfd" in os.readlink(slots.path)
    assert not os.get_inheritable(slots.descriptor)
    slots.close()


def test_another_machines_memory_is_not_mapped(tmp_path: Path) -> None:
    """What is found under that path may be something else there."""
    slots = Slots.create(FIELDS, 2)
    size = total_bytes(FIELDS, 2)
    another, short = tmp_path / "another", tmp_path / "short"
    another.write_bytes(bytes(size))
    short.write_bytes(bytes(size - 1))
    before = len(os.listdir("/proc/self/fd"))
    for path, count in [(another, 2), (short, 2), (tmp_path, 2), (tmp_path / "nothing", 2), (slots.path, 3)]:
        assert Slots.attach(str(path), slots.mark, FIELDS, count) is None
    assert Slots.attach(slots.path, bytes(16), FIELDS, 2) is None
    assert len(os.listdir("/proc/self/fd")) == before, "what was opened is closed"
    slots.close()


def test_frames_stay_when_the_descriptor_is_given_back() -> None:
    slots = Slots.create(FIELDS, 1)
    slots.close()
    slots.frames[0]["u"][...] = 3
    assert slots.frames[0]["u"].sum() == 90


def test_fields_begin_on_pages() -> None:
    """So that no two ranks write into one cache line, and large copies are aligned."""
    slots = Slots.create(FIELDS, 2)
    addresses = [array.ctypes.data for frame in slots.frames for array in frame.values()]
    assert [address % PAGE for address in addresses] == [0] * 6
    assert len(set(addresses)) == 6
    slots.close()


def test_memory_that_is_not_there_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is never asked for: the kernel would rather end other processes than refuse it."""
    asked: list[int] = []
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "posix_fallocate", lambda _descriptor, _start, size: asked.append(size))
    monkeypatch.setattr(slots_module, "available_bytes", lambda: total_bytes(FIELDS, 2) - 1)
    with pytest.raises(UserError, match=r"2 frames of \d+ bytes: no shared memory.*stream\.fields"):
        Slots.create(FIELDS, 2)
    assert asked == []

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with pytest.raises(UserError, match="No space left on device"):
        Slots.create(FIELDS, 1)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_node_says_what_it_can_give() -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < available_bytes() <= pages
