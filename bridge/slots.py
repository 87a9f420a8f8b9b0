"""Memory that the ranks of rank 0's node and the publisher share: frames to be filled, and a few counters.

It is an anonymous file (``memfd_create(2)``): no name can be left behind, and the size of ``/dev/shm``, 64 MB
in a container, does not limit it. Who may look into rank 0's ``/proc/<pid>/fd`` maps it; a random mark in it
tells whether that is the same machine.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lockstream.bridge.errors import UserError
from lockstream.bridge.memory import available_bytes
from lockstream.bridge.messages import DTYPES, Field

Array = np.ndarray[Any, Any]
Frame = Mapping[str, Array]

PAGE = 4096
MARK_BYTES = 16
PUBLISHERS = ("acknowledged", "spilled", "spooled", "dropped", "outstanding", "throttled", "throttled_ms")
RANK_0S = ("accepted", "publish_us", "wait_us", "longest_wait_us")
COUNTERS = (*PUBLISHERS, *RANK_0S)  # each is set by one of the two only


class Slots:
    """A few frames in shared memory, each of which has room for one step.

    Parameters
    ----------
    descriptor
        Of the anonymous file; this object closes it.
    fields
        The global arrays that a frame has.
    count
        How many frames.
    """

    def __init__(self, descriptor: int, fields: Sequence[Field], count: int) -> None:
        self.descriptor = descriptor
        size = total_bytes(fields, count)
        if os.fstat(descriptor).st_size != size:
            raise ValueError(f"shared memory of {os.fstat(descriptor).st_size} bytes, expected {size}")
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE  # no page faults in the simulation's time
        self._memory = mmap.mmap(descriptor, size, flags=flags)
        self._mark = np.frombuffer(self._memory, np.uint8, MARK_BYTES)
        self._counters = np.frombuffer(self._memory, np.int64, len(COUNTERS), 64)
        self.frames: tuple[Frame, ...] = tuple(self._frame(fields, number) for number in range(count))

    @classmethod
    def create(cls, fields: Sequence[Field], count: int) -> Slots:
        """Make them; every page is touched.

        Raises
        ------
        UserError
            If there is not so much memory.
        """
        size = total_bytes(fields, count)
        cure = "publish fewer fields (stream.fields), or give the job more memory"
        if size > (available := available_bytes()):  # asking for it would have the system kill somebody
            raise UserError(
                f"{count} frames take {size} bytes of shared memory, {available} are available; {cure}"
            )
        descriptor = os.memfd_create("lockstream", os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, 0, size)  # else a lack of memory would be a SIGBUS, much later
            slots = cls(descriptor, fields, count)
        except (OSError, MemoryError) as error:
            os.close(descriptor)
            raise UserError(
                f"{count} frames of {size // count} bytes: no shared memory for them ({error}); {cure}"
            ) from None
        slots._mark[:] = np.frombuffer(os.urandom(MARK_BYTES), np.uint8)
        return slots

    @classmethod
    def attach(cls, path: str, mark: bytes, fields: Sequence[Field], count: int) -> Slots | None:
        """Map what another process made; None where that cannot be reached, as from another machine.

        Parameters
        ----------
        path, mark
            What the maker's `path` and `mark` are.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            slots = cls(descriptor, fields, count)
        except (OSError, ValueError):  # some other file of that name
            os.close(descriptor)
            return None
        if slots.mark != mark:
            slots.close()
            return None
        return slots

    @property
    def path(self) -> str:
        """Where other processes of this machine find it."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @property
    def mark(self) -> bytes:
        """Random bytes that no other shared memory has."""
        return self._mark.tobytes()

    def count(self, **values: int) -> None:
        """Set counters; each has one process that does so."""
        for name, value in values.items():
            self._counters[COUNTERS.index(name)] = value

    def counted(self) -> dict[str, int]:
        """Return the counters by name."""
        return dict(zip(COUNTERS, self._counters.tolist(), strict=True))

    def close(self) -> None:
        """Give the descriptor back; the mapping goes with the last array that looks into it."""
        os.close(self.descriptor)

    def _frame(self, fields: Sequence[Field], number: int) -> Frame:
        start = PAGE + number * _frame_bytes(fields)
        frame = {}
        for field in fields:
            flat = np.frombuffer(self._memory, DTYPES[field.dtype], field.nbytes // _itemsize(field), start)
            frame[field.name] = flat.reshape(field.shape)
            start += _padded(field.nbytes)
        return frame


def total_bytes(fields: Sequence[Field], count: int) -> int:
    """Return the size of the shared memory."""
    return PAGE + count * _frame_bytes(fields)


def _frame_bytes(fields: Sequence[Field]) -> int:
    return sum(_padded(field.nbytes) for field in fields)


def _padded(nbytes: int) -> int:
    return -(-nbytes // PAGE) * PAGE


def _itemsize(field: Field) -> int:
    return DTYPES[field.dtype].itemsize
