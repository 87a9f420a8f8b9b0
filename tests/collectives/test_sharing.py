"""Ranks that reach rank 0's memory write into the frame themselves; others send; the frame is the same."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.decompositions import Rectangle, laid_out, random_field

from lockstream.bridge import Block, Field
from lockstream.bridge.gather import BlockMismatch, FrameGatherer
from lockstream.bridge.slots import Slots

if TYPE_CHECKING:
    from mpi4py import MPI

SLOTS = 3
WHO: dict[str, Callable[[int], bool]] = {
    "all": lambda _: True,
    "none": lambda _: False,
    "odd ones": lambda rank: rank % 2 == 1,
    "even ones": lambda rank: rank % 2 == 0,
    "the last": lambda rank: rank == 3,
}


def attached(comm: "MPI.Comm", fields: list[Field], is_sharing: bool) -> Slots | None:
    """Rank 0's memory, where a rank is to share it."""
    made = Slots.create(fields, SLOTS) if comm.rank == 0 else None
    path, mark = comm.bcast((made.path, made.mark) if made else ("", b""))
    slots = made or (Slots.attach(path, mark, fields, SLOTS) if is_sharing else None)
    assert (slots is not None) == (is_sharing or comm.rank == 0)
    comm.Barrier()
    return slots


def assert_everywhere(comm: "MPI.Comm", is_right: bool) -> None:
    """Fail on all ranks if one of them is wrong, so that they go on together."""
    assert comm.allgather(bool(is_right)) == [True] * comm.size


@pytest.mark.parametrize("who", WHO)
def test_whoever_shares_the_frame_is_the_field(comm: "MPI.Comm", who: str) -> None:
    """More steps than slots, each of other contents; blocks are spoilt as soon as they are taken."""
    fields = [Field("rows", (2 * comm.size, 3), "f8"), Field("edge", (5,), "i2")]
    is_sharing = comm.rank > 0 and WHO[who](comm.rank)
    slots = attached(comm, fields, is_sharing)
    gatherer = FrameGatherer(comm, fields, is_sharing=slots is not None)
    mine = Rectangle((2 * comm.rank, 0), (2, 3))
    owned = slice(0, 5 if comm.rank == comm.size - 1 else 0)
    is_right = True
    for step in range(4 * SLOTS):
        rows, edge = random_field("f8", (2 * comm.size, 3), [step]), random_field("i2", (5,), [step, 1])
        layout = ("C", "every other")[step % 2]
        blocks = {
            "rows": Block(laid_out(rows[mine.region], layout), mine.offset),
            "edge": Block(edge[owned].copy(), (0,)),
        }
        slot = gatherer.tell_all(step % SLOTS)
        frame = slots.frames[slot] if slots else None
        gatherer.gather(blocks, frame)
        blocks["rows"].data[...] = 77
        if comm.rank == 0 and frame is not None:
            is_right &= frame["rows"].tobytes() == rows.tobytes()
            is_right &= frame["edge"].tobytes() == edge.tobytes()
    gatherer.free()
    if slots:
        slots.close()
    assert_everywhere(comm, is_right)


def test_what_rank_0_says_is_heard_everywhere(comm: "MPI.Comm") -> None:
    gatherer = FrameGatherer(comm, [Field("u", (3,))])
    heard = [gatherer.tell_all(number if comm.rank == 0 else 99) for number in (2, 0, -1)]
    gatherer.free()
    assert_everywhere(comm, heard == [2, 0, -1])


@pytest.mark.parametrize("who", WHO)
def test_a_wrong_block_writes_nothing(comm: "MPI.Comm", who: str) -> None:
    """The last rank's block lies over the first one's: all are told, and the shared frame is untouched."""
    fields = [Field("u", (comm.size, 4), "f4")]
    slots = attached(comm, fields, comm.rank > 0 and WHO[who](comm.rank))
    gatherer = FrameGatherer(comm, fields, is_sharing=slots is not None)
    first = (
        comm.rank if comm.rank < comm.size - 1 else int(comm.size == 1)
    )  # outside, where there is no other
    frame = slots.frames[0] if slots else None
    with pytest.raises(BlockMismatch, match="'u'"):
        gatherer.gather({"u": Block(np.ones((1, 4), "f4"), (first, 0))}, frame)
    gatherer.free()
    comm.Barrier()
    is_untouched = frame is None or not frame["u"].any()
    comm.Barrier()
    if slots:
        slots.close()
    assert_everywhere(comm, is_untouched)
