"""Blocks of any decomposition, dtype and memory layout become the frame on rank 0; mistakes are told everywhere."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.decompositions import LAYOUTS, Array, Rectangle, decompose, laid_out, random_field

from lockstream.bridge import Block, Field
from lockstream.bridge.errors import UserError
from lockstream.bridge.gather import FrameGatherer
from lockstream.bridge.messages import DTYPES

if TYPE_CHECKING:
    from mpi4py import MPI

# The ranks draw the same examples: nothing depends on chance, on the clock or on what an earlier run left.
together = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def gathered(
    comm: "MPI.Comm", fields: list[Field], steps: Iterable[Mapping[str, Block]]
) -> list[dict[str, Array]]:
    """The frames that rank 0 sees; nothing elsewhere. A block's array is spoilt once it has been taken."""
    gatherer, frames = FrameGatherer(comm, fields), []
    try:
        for blocks in steps:
            frame = None
            if comm.rank == 0:
                frame = {field.name: np.empty(field.shape, DTYPES[field.dtype]) for field in fields}
                frames.append(frame)
            gatherer.gather(blocks, frame)
            for block in blocks.values():
                if block.data.flags.writeable:
                    block.data[...] = 77
    finally:
        gatherer.free()
    return frames


def assert_everywhere(comm: "MPI.Comm", is_right: bool) -> None:
    """Fail on all ranks if one of them is wrong, so that they go on together."""
    assert comm.allgather(bool(is_right)) == [True] * comm.size


def frames_are_whole(comm: "MPI.Comm", field: Field, parts: list[Rectangle], layouts: list[str]) -> bool:
    wholes = [random_field(field.dtype, field.shape, [step]) for step in range(len(layouts))]
    mine = parts[comm.rank]
    steps = (
        {field.name: Block(laid_out(whole[mine.region], layout), mine.offset)}
        for whole, layout in zip(wholes, layouts, strict=True)
    )
    frames = gathered(comm, [field], steps)
    pairs = zip(frames, wholes, strict=comm.rank == 0)
    return all(frame[field.name].tobytes() == whole.tobytes() for frame, whole in pairs)


@together
@given(data=st.data())
def test_any_decomposition_becomes_the_field(comm: "MPI.Comm", data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    field = Field("u", shape, data.draw(st.sampled_from(sorted(DTYPES))))
    parts = decompose(shape, comm.size, lambda low, high: data.draw(st.integers(low, high)))
    layouts = data.draw(st.lists(st.sampled_from(LAYOUTS), min_size=1, max_size=3))
    assert_everywhere(comm, frames_are_whole(comm, field, parts, layouts))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_in_every_layout(comm: "MPI.Comm", dtype: str, layout: str) -> None:
    parts = [Rectangle((2 * rank, 0, 0), (2, 3, 2)) for rank in range(comm.size)]
    field = Field("u", (comm.size * 2, 3, 2), dtype)
    assert_everywhere(comm, frames_are_whole(comm, field, parts, [layout] * 3))


def test_fields_of_one_frame_are_decomposed_each_in_its_own_way(comm: "MPI.Comm") -> None:
    """Rows, columns, and one that the last rank owns alone."""
    n = comm.size
    fields = [Field("rows", (n, 3), "f8"), Field("columns", (2, 2 * n), "c8"), Field("whole", (5,), "u2")]
    wholes = {f.name: random_field(f.dtype, f.shape, [1, number]) for number, f in enumerate(fields)}
    last = slice(0, 5 if comm.rank == n - 1 else 0)
    blocks = {
        "whole": Block(wholes["whole"][last].copy(), (0,)),
        "columns": Block(wholes["columns"][:, 2 * comm.rank : 2 * comm.rank + 2].copy(), (0, 2 * comm.rank)),
        "rows": Block(wholes["rows"][comm.rank : comm.rank + 1].copy(), (comm.rank, 0)),
    }
    frames = gathered(comm, fields, [blocks])
    right = all(
        frame[name].tobytes() == whole.tobytes() for frame in frames for name, whole in wholes.items()
    )
    assert_everywhere(comm, right)


def test_blocks_too_large_to_travel_at_once(comm: "MPI.Comm") -> None:
    """Beyond what MPI takes over by itself: the sender's buffer is in use until the receiver has come."""
    field = Field("u", (comm.size, 1 << 17), "f8")
    parts = [Rectangle((rank, 0), (1, 1 << 17)) for rank in range(comm.size)]
    assert_everywhere(comm, frames_are_whole(comm, field, parts, ["C", "every other"] * 2))


def test_groups_of_ranks_gather_at_the_same_time(comm: "MPI.Comm") -> None:
    """Each in an order of its own: the last rank of the world leads."""
    group = comm.Split(comm.rank % 2, key=-comm.rank)
    try:
        field = Field("u", (group.size, 4), "f8")
        parts = [Rectangle((rank, 0), (1, 4)) for rank in range(group.size)]
        is_right = frames_are_whole(group, field, parts, ["C"] * (1 + 4 * (comm.rank % 2)))
    finally:
        group.Free()
    assert_everywhere(comm, is_right)


def of_rows(rank: int, size: int) -> Block:
    """The block of a field of shape (2 size, 3) that is right."""
    return Block(np.ones((2, 3), "f4"), (2 * rank, 0))


WRONG: dict[str, Callable[[Block], dict[str, Block]]] = {
    "nothing": lambda _: {},
    "a hole": lambda right: {"u": Block(right.data[:1], right.offset)},
    "an overlap": lambda right: {"u": Block(np.ones((2, 3), "f4"), (abs(right.offset[0] - 1), 0))},
    "beyond the edge": lambda right: {"u": Block(right.data, (right.offset[0] + 1, 0))},
    "before the edge": lambda right: {"u": Block(right.data, (-1, 0))},
    "another dtype": lambda right: {"u": Block(right.data.astype("f8"), right.offset)},
    "big-endian": lambda right: {"u": Block(right.data.astype(">f4"), right.offset)},
    "a dimension less": lambda right: {"u": Block(right.data[0], right.offset)},
    "an offset too short": lambda right: {"u": Block(right.data, right.offset[:1])},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_on_one_rank_is_told_on_all(comm: "MPI.Comm", case: str) -> None:
    for culprit in {0, comm.size - 1}:
        right = of_rows(comm.rank, comm.size)
        blocks = WRONG[case](right) if comm.rank == culprit else {"u": right}
        with pytest.raises(UserError, match="field 'u'") as caught:
            gathered(comm, [Field("u", (2 * comm.size, 3), "f4")], [blocks])
        assert len(set(comm.allgather(str(caught.value)))) == 1
