from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstream.mpi_jobs.decomposition import Decomposition, block_range, process_grid

sizes = st.integers(1, 40)


@given(n=st.integers(0, 500), size=sizes)
def test_ranges_follow_one_another_and_differ_by_one_at_most(n: int, size: int) -> None:
    ranges = [block_range(n, size, rank) for rank in range(size)]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == n
    assert all(left[1] == right[0] for left, right in pairwise(ranges))
    lengths = [stop - start for start, stop in ranges]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


@given(ny=sizes, nx=sizes, size=sizes)
def test_the_blocks_of_a_chosen_grid_cover_each_element_once(ny: int, nx: int, size: int) -> None:
    grid = process_grid(size, (ny, nx))
    possible = any(size % px == 0 and size // px <= ny and px <= nx for px in range(1, size + 1))
    assert (grid is not None) == possible
    if grid is None:
        return
    owners = np.zeros((ny, nx), int)
    decomposition = Decomposition((ny, nx), grid)
    assert len(decomposition.blocks) == size
    for block in decomposition.blocks:
        assert min(block.shape) >= 1
        owners[block.slices] += 1
    assert (owners == 1).all()


@pytest.mark.parametrize(
    ("size", "shape", "grid"),
    [
        (1, (5, 5), (1, 1)),
        (2, (512, 512), (2, 1)),
        (4, (512, 512), (4, 1)),  # as short a halo as 2 x 2, and rows stay whole
        (6, (512, 512), (3, 2)),
        (4, (100, 10_000), (1, 4)),
        (3, (2, 300), (1, 3)),
        (7, (3, 5), None),
    ],
)
def test_the_grid_has_the_shortest_halos(
    size: int, shape: tuple[int, int], grid: tuple[int, int] | None
) -> None:
    assert process_grid(size, shape) == grid


def test_ranks_are_numbered_row_by_row() -> None:
    decomposition = Decomposition((5, 7), (2, 3))
    assert [block.offset for block in decomposition.blocks] == [
        (0, 0),
        (0, 3),
        (0, 5),
        (3, 0),
        (3, 3),
        (3, 5),
    ]
    assert decomposition.block(5).shape == (2, 2)
