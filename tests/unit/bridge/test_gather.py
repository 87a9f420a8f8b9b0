"""Blocks that do not make up the field are refused on all ranks, before anything travels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstream.bridge.gather import Block, BlockMismatch, FrameGatherer
from lockstream.bridge.messages import Field

Rectangle = tuple[tuple[int, ...], tuple[int, ...]]


class FakeComm:
    """Rank 0 of a world in which the other ranks own the given rectangles of one field."""

    rank = 0

    def __init__(self, others: list[Rectangle]) -> None:
        self._others = np.full((len(others), 1, 2, 4), -1, np.int64)
        for number, (offset, extent) in enumerate(others):
            self._others[number, 0, 0, : len(offset)] = offset
            self._others[number, 0, 1, : len(extent)] = extent
        self.size = 1 + len(others)
        self.received: list[tuple[int, int]] = []

    def Dup(self) -> "FakeComm":  # noqa: N802
        return self

    def Free(self) -> None:  # noqa: N802
        pass

    def Allgather(self, mine: Any, everyone: Any) -> None:  # noqa: N802
        everyone[0], everyone[1:] = mine, self._others

    def allgather(self, said: str) -> list[str]:
        return [said] * self.size

    def Irecv(self, _buffer: Any, source: int, tag: int) -> "FakeComm":  # noqa: N802
        self.received.append((source, tag))
        return self

    def Wait(self) -> None:  # noqa: N802
        pass


def gather(shape: tuple[int, ...], rectangles: list[Rectangle]) -> FakeComm:
    comm = FakeComm(rectangles[1:])
    gatherer = FrameGatherer(comm, [Field("u", shape)])  # type: ignore[arg-type]
    offset, extent = rectangles[0]
    frame = {"u": np.zeros(shape, "<f4")}
    gatherer.gather({"u": Block(np.ones(extent, "f4"), offset)}, frame)
    gatherer.free()
    assert frame["u"].sum() == np.prod(extent)
    return comm


@st.composite
def decompositions(draw: st.DrawFn) -> tuple[tuple[int, ...], list[Rectangle]]:
    """A field cut into rectangles again and again, some of them empty."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    parts: list[Rectangle] = [((0,) * len(shape), shape)]
    for _ in range(draw(st.integers(0, 5))):
        offset, extent = parts.pop(draw(st.integers(0, len(parts) - 1)))
        axis = draw(st.integers(0, len(shape) - 1))
        cut = draw(st.integers(0, extent[axis]))
        before, after = list(extent), list(extent)
        before[axis], after[axis] = cut, extent[axis] - cut
        behind = [o + cut * (n == axis) for n, o in enumerate(offset)]
        parts += [(offset, tuple(before)), (tuple(behind), tuple(after))]
    return shape, draw(st.permutations(parts))


@settings(deadline=None)
@given(decompositions())
def test_any_decomposition_is_accepted(decomposition: tuple[tuple[int, ...], list[Rectangle]]) -> None:
    shape, parts = decomposition
    comm = gather(shape, parts)
    owners = [source for source, (_, extent) in enumerate(parts) if source and all(extent)]
    assert comm.received == [(source, 0) for source in owners]


@settings(deadline=None)
@given(decompositions(), st.data())
def test_a_hole_or_an_overlap_is_refused(
    decomposition: tuple[tuple[int, ...], list[Rectangle]], data: st.DataObject
) -> None:
    shape, parts = decomposition
    owners = [n for n, (_, extent) in enumerate(parts) if all(extent)]
    place = data.draw(st.sampled_from(owners))
    for wrong in ([*parts, parts[place]], parts[:place] + parts[place + 1 :] + [((0,) * len(shape),) * 2]):
        with pytest.raises(BlockMismatch, match="'u'"):
            gather(shape, wrong)


def test_an_overlap_that_hides_a_hole_is_refused() -> None:
    with pytest.raises(BlockMismatch, match="overlap"):
        gather((4, 2), [((0, 0), (2, 2)), ((1, 0), (2, 2))])


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (None, "no block"),
        (Block(np.ones((4, 2), "f8"), (0, 0)), "declared f4"),
        (Block(np.ones((4, 2), ">f4"), (0, 0)), "declared f4"),
        (Block(np.ones((5, 2), "f4"), (0, 0)), "outside"),
        (Block(np.ones((4, 2), "f4"), (1, 0)), "outside"),
        (Block(np.ones((4, 2), "f4"), (-1, 0)), "outside"),
        (Block(np.ones((8,), "f4"), (0,)), "outside"),
        (Block(np.ones((4, 2), "f4"), (0,)), "outside"),
        (Block(np.ones((4, 1), "f4"), (0, 0)), "holes or overlaps"),
    ],
)
def test_a_block_that_does_not_fit_is_refused(block: Block | None, said: str) -> None:
    gatherer = FrameGatherer(FakeComm([]), [Field("u", (4, 2))])  # type: ignore[arg-type]
    with pytest.raises(BlockMismatch, match=said):
        gatherer.gather({"u": block} if block else {}, {"u": np.zeros((4, 2), "f4")})


@pytest.mark.parametrize(
    "later", [None, Block(np.ones((2, 2), "f4"), (0, 0)), Block(np.ones((4, 2), "f8"), (0, 0))]
)
def test_a_block_that_changes_is_refused(later: Block | None) -> None:
    gatherer = FrameGatherer(FakeComm([]), [Field("u", (4, 2))])  # type: ignore[arg-type]
    frame = {"u": np.zeros((4, 2), "f4")}
    gatherer.gather({"u": Block(np.ones((4, 2), "f4"), (0, 0))}, frame)
    with pytest.raises(BlockMismatch, match="'u'"):
        gatherer.gather({"u": later} if later else {}, frame)


def test_any_strides_will_do() -> None:
    padded = np.arange(24, dtype="f4").reshape(6, 4)
    gatherer = FrameGatherer(FakeComm([]), [Field("u", (4, 2))])  # type: ignore[arg-type]
    frame = {"u": np.zeros((4, 2), "f4")}
    for interior in (padded[1:-1, 1:-1], padded.T[:4, ::3], padded[::-1][:4, :2]):
        gatherer.gather({"u": Block(interior, (0, 0))}, frame)
        assert frame["u"].tolist() == interior.tolist()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"v": Block(np.ones(3, "f4"), (0,))}, "field 'v' was not declared; declared are u"),
        ({"u": np.ones((4, 2), "f4")}, r"field 'u': give Block\(array, offset\), got a ndarray"),
    ],
)
def test_what_is_no_block_of_a_field_is_refused(more: dict[str, Any], said: str) -> None:
    gatherer = FrameGatherer(FakeComm([]), [Field("u", (4, 2))])  # type: ignore[arg-type]
    blocks = {"u": Block(np.ones((4, 2), "f4"), (0, 0))} | more
    with pytest.raises(BlockMismatch, match=said):
        gatherer.gather(blocks, {"u": np.zeros((4, 2), "f4")})
