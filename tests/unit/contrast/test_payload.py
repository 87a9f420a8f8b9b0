"""What participants give and are due in each pattern, without MPI or Kafka."""

import numpy as np
import pytest

from lockstream.contrast.patterns.in_mpi import PATTERNS
from lockstream.contrast.patterns.payload import ROOT, Payload, delivered_bytes, payload

SIZES = [1, 2, 3, 8]


def parts(pattern: str, nbytes: int, size: int, number: int = 1) -> list[Payload]:
    made = [payload(pattern, nbytes, rank, size) for rank in range(size)]
    for part in made:
        part.prepare(number)
    return made


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name != "barrier"])
def test_nothing_is_right_before_it_has_come(pattern: str, size: int) -> None:
    assert not any(part.is_right for part in parts(pattern, 64, size) if part.due.size)


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name != "barrier"])
def test_what_came_with_the_exchange_before_is_not_right(pattern: str) -> None:
    for part, later in zip(parts(pattern, 64, 3), parts(pattern, 64, 3, number=2), strict=True):
        later.got[:] = part.due
        assert later.is_right == (not part.due.size)


def test_a_block_of_one_byte_has_its_number() -> None:
    first, second = parts("point-to-point", 1, 2), parts("point-to-point", 1, 2, number=2)
    assert first[0].mine != second[0].mine


@pytest.mark.parametrize("size", SIZES)
def test_all_to_all_is_due_what_the_others_give(size: int) -> None:
    made = parts("all-to-all", 100, size)
    for receiver, part in enumerate(made):
        assert np.array_equal(part.due, [sender.mine[receiver] for sender in made])


@pytest.mark.parametrize("pattern", ["reduce", "all-reduce"])
@pytest.mark.parametrize("size", SIZES)
def test_sums_are_of_doubles_and_exact(pattern: str, size: int) -> None:
    made = parts(pattern, 800, size)
    total = np.sum([part.mine for part in made], axis=0)
    due = [part.due for part in made if part.due.size]
    assert len(due) == (size if pattern == "all-reduce" else 1)
    assert all(np.array_equal(one, total) and one.shape == (1, 100) for one in due)


def test_different_pairs_have_different_blocks() -> None:
    blocks = [row.tobytes() for part in parts("all-to-all", 4096, 8) for row in part.mine[:, 1:]]
    assert len(set(blocks)) == 64


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("pattern", ["point-to-point", "broadcast", "scatter", "gather", "all-to-all"])
def test_delivered_bytes_are_those_due_from_others(pattern: str, size: int) -> None:
    made = [payload(pattern, 1000, rank, size) for rank in range(size)]
    due = sum(part.due.nbytes for part in made)
    own = {"scatter": 1, "gather": 1, "all-to-all": size}.get(pattern, 0)
    assert delivered_bytes(pattern, 1000, size) == due - own * 1000


def test_a_barrier_brings_nothing() -> None:
    part = payload("barrier", 0, ROOT, 2)
    part.prepare(1)
    assert part.is_right
    assert delivered_bytes("barrier", 0, 2) == 0
