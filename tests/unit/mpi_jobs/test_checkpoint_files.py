"""Checkpoints on disk: what is sound is read back bit for bit, everything else is recognised."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstream.bridge.errors import ConfigurationError
from lockstream.mpi_jobs import checkpoint_files as files
from lockstream.mpi_jobs.checkpoint_files import About, Piece
from lockstream.mpi_jobs.decomposition import Decomposition, Rectangle
from lockstream.mpi_jobs.errors import CheckpointDamaged

SHAPE = (7, 10)
FIELD = np.arange(70, dtype=np.float32).reshape(SHAPE) / 3


def written(run_folder: Path, step: int = 40, grid: tuple[int, int] = (2, 1)) -> Path:
    """A checkpoint of one field on two ranks."""
    unfinished = files.unfinished_folder(run_folder, step)
    blocks = Decomposition(SHAPE, grid).blocks
    pieces = tuple(
        files.write_piece(unfinished, rank, block, {"u": FIELD[block.slices]})
        for rank, block in enumerate(blocks)
    )
    about = About(
        run="r", attempt=0, step=step, time=1.5, published=40, steps=5, given={}, effective={}, pieces=pieces
    )
    final = files.checkpoint_folder(run_folder, step)
    files.seal(unfinished, final, about)
    return final


def read(folder: Path, wanted: Rectangle) -> np.ndarray:  # type: ignore[type-arg]
    found = np.full(wanted.shape, np.nan, np.float32)
    for piece in files.read_about(folder).pieces:
        if (part := files.read_part(folder, piece, "u", wanted)) is not None:
            place, elements = part
            y, x = (o - begin for o, begin in zip(place.offset, wanted.offset, strict=True))
            found[y : y + place.shape[0], x : x + place.shape[1]] = elements
    return found


@pytest.mark.parametrize("grid", [(1, 1), (3, 1), (1, 4), (2, 2), (7, 10)])
def test_another_decomposition_reads_the_same(tmp_path: Path, grid: tuple[int, int]) -> None:
    folder = written(tmp_path)
    for block in Decomposition(SHAPE, grid).blocks:
        assert read(folder, block).tobytes() == FIELD[block.slices].tobytes()


def test_the_newest_are_kept_and_what_lies_beyond_goes(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        written(tmp_path, step)
    files.keep_newest(tmp_path, 2, 30)
    assert files.steps_in(tmp_path) == [30, 20]


def test_an_unfinished_one_is_none(tmp_path: Path) -> None:
    files.unfinished_folder(tmp_path, 50)
    assert files.steps_in(tmp_path) == []
    assert files.steps_in(tmp_path / "nowhere") == []


def test_a_kill_between_the_two_renames_loses_no_checkpoint(tmp_path: Path) -> None:
    first, second = written(tmp_path, 40), written(tmp_path, 80)
    first.rename(tmp_path / ".replaced-step-40")
    (tmp_path / ".replaced-step-80").mkdir()
    (tmp_path / ".step-120").mkdir()
    files.tidy(tmp_path)
    assert files.steps_in(tmp_path) == [80, 40]
    assert files.read_about(first).step == 40
    assert files.read_about(second).step == 80
    assert not list(tmp_path.glob(".*step*"))


def test_a_checkpoint_may_be_written_again(tmp_path: Path) -> None:
    written(tmp_path, grid=(2, 1))
    folder = written(tmp_path, grid=(1, 2))
    assert [piece.shape for piece in files.read_about(folder).pieces] == [(7, 5), (7, 5)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-40"]


@pytest.mark.parametrize("place", range(0, 100, 7))
def test_a_flipped_bit_of_an_element_is_found(tmp_path: Path, place: int) -> None:
    folder = written(tmp_path)
    (piece, _) = files.read_about(folder).pieces
    path = folder / piece.file
    content = bytearray(path.read_bytes())
    begin = content.find(FIELD[:4].tobytes())
    assert begin > 0
    content[begin + place] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointDamaged, match=r"rank-0.h5: u is not what was written"):
        files.check_piece(folder, piece)


@pytest.mark.parametrize("size", [0, 1, 500, 2000])
def test_a_file_that_is_cut_off_is_found(tmp_path: Path, size: int) -> None:
    folder = written(tmp_path)
    (piece, _) = files.read_about(folder).pieces
    with (folder / piece.file).open("r+b") as file:
        file.truncate(size)
    with pytest.raises(CheckpointDamaged, match=r"rank-0.h5"):
        files.check_piece(folder, piece)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', "\udce4", json.dumps({"format": 2, "run": "r"})], ids=repr
)
def test_an_account_that_cannot_be_read_is_damage(tmp_path: Path, text: str) -> None:
    folder = written(tmp_path)
    (folder / "checkpoint.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointDamaged, match=r"checkpoint.json cannot be read"):
        files.read_about(folder)


def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    text = (folder / "checkpoint.json").read_text().replace("rank-0.h5", "../rank-0.h5")
    (folder / "checkpoint.json").write_text(text)
    with pytest.raises(CheckpointDamaged, match=r"checkpoint.json"):
        files.read_about(folder)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"time": 1.5', '"time": 1.6'),
        ('"published": 40', '"published": 41'),
        ('"u": ', '"v": '),
        ('"crc32c": "', '"crc": "'),
    ],
)
def test_an_account_that_was_changed_is_damage(tmp_path: Path, was: str, becomes: str) -> None:
    path = written(tmp_path) / "checkpoint.json"
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, becomes, 1))
    with pytest.raises(CheckpointDamaged, match=r"checkpoint.json is not what was written"):
        files.read_about(path.parent)


def test_only_what_the_account_says_is_summed_up_not_its_spaces(tmp_path: Path) -> None:
    path = written(tmp_path) / "checkpoint.json"
    before = files.read_about(path.parent)
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True))
    assert files.read_about(path.parent) == before


def test_an_account_of_another_format_is_refused_by_its_number(tmp_path: Path) -> None:
    path = written(tmp_path) / "checkpoint.json"
    path.write_text(path.read_text().replace(f'"format": {files.FORMAT}', '"format": 1'))
    with pytest.raises(CheckpointDamaged, match="format 1, this program reads"):
        files.read_about(path.parent)


def test_a_renamed_checkpoint_is_damage(tmp_path: Path) -> None:
    folder = written(tmp_path).rename(tmp_path / "step-41")
    with pytest.raises(CheckpointDamaged, match="that of step 40"):
        files.read_about(folder)


def test_an_attempt_has_its_number_alone(tmp_path: Path) -> None:
    assert [files.next_attempt(tmp_path / "r", 0) for _ in range(3)] == [0, 1, 2]
    assert files.next_attempt(tmp_path / "r", 7) == 7
    assert files.next_attempt(tmp_path / "r", 0) == 8
    (tmp_path / "r" / "attempts").write_text("three\n")
    with pytest.raises(ConfigurationError, match="number of attempts"):
        files.next_attempt(tmp_path / "r", 0)


def test_starts_at_the_same_time_get_numbers_of_their_own(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def start(_number: int) -> int:
        together.wait(10)
        return files.next_attempt(tmp_path / "r", 1)

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(start, range(8)))
    assert sorted(numbers) == list(range(1, 9))


def test_a_claim_whose_owner_died_is_a_number_that_is_used_up(tmp_path: Path) -> None:
    (tmp_path / "attempt-0").touch()
    assert files.next_attempt(tmp_path, 0) == 1


def test_pieces_must_make_up_the_domain() -> None:
    pieces = [Piece(file=f"rank-{n}.h5", offset=(0, 5 * n), shape=(7, 5), crc32c={}) for n in range(2)]
    assert files.covers(pieces, SHAPE)
    assert not files.covers(pieces[:1], SHAPE)
    assert not files.covers(pieces, (7, 9))


rectangles = st.builds(
    lambda y, x, ny, nx: Rectangle((y, x), (ny, nx)), *[st.integers(0, 6)] * 2, *[st.integers(1, 6)] * 2
)


@given(rectangles, rectangles)
def test_what_two_rectangles_have_in_common(a: Rectangle, b: Rectangle) -> None:
    marks = np.zeros((2, 12, 12), bool)
    marks[0][a.slices] = marks[1][b.slices] = True
    common = files.intersection(a, b)
    both = np.zeros((12, 12), bool)
    if common is not None:
        both[common.slices] = True
    assert np.array_equal(both, marks[0] & marks[1])
