"""`archive diff`: silent only if two runs are the same, bit for bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.runs import JUNK, TWO_FIELDS, FakeRun, archive

from lockstream.bridge.messages import Axis

Command = Callable[..., Any]
RUN = FakeRun(fields=TWO_FIELDS)
STEPS = [0, 1, 5, 7]


@pytest.fixture
def a(tmp_path: Path) -> Path:
    archive(tmp_path / "a", RUN.logs(STEPS))
    return tmp_path / "a" / "fake"


@pytest.fixture
def b(tmp_path: Path) -> Path:
    """The same, from three partitions and in segments."""
    archive(tmp_path / "b", replace(RUN, partitions=3).logs(STEPS), segment_bytes=1, on_end="links")
    return tmp_path / "b" / "fake"


def test_how_a_run_is_stored_makes_no_difference(lockstream: Command, a: Path, b: Path) -> None:
    for first, second in ((a, b), (b, a), (a.parent, b / "run.h5"), (a, a)):
        said = lockstream("archive", "diff", first, second)
        assert (said.code, said.err) == (0, "")
        assert said.out.endswith("hold the same, bit for bit\n")


@pytest.mark.parametrize(
    ("name", "place", "value", "sentence"),
    [
        ("u", (2, 3, 4), 1e-30, "u: step 5 differs"),
        ("n", (3, 0), 12345, "n: step 7 differs"),
        ("mass", 1, 0.25, "mass: differs"),
        ("time", 0, -0.0, "time: differs"),
        ("y", 0, 0.5, "y: differs"),
    ],
)
def test_one_other_number_is_found(
    lockstream: Command, a: Path, b: Path, name: str, place: Any, value: float, sentence: str
) -> None:
    with h5py.File(a / "run.h5", "r+") as file:
        file[name][place] = value
    said = lockstream("archive", "diff", a, b)
    assert (said.code, said.out) == (3, f"{sentence}\n1 differences\n")


def test_nan_and_the_sign_of_zero_count_by_their_bits(lockstream: Command, a: Path, b: Path) -> None:
    with h5py.File(a / "run.h5", "r+") as file:
        frame = file["u"][0]
        assert np.isnan(frame.flat[0])
        assert np.signbit(frame.flat[1])
        frame.flat[1] = 0.0
        file["u"][0] = frame
    assert lockstream("archive", "diff", a, b).out == "u: step 0 differs\n1 differences\n"


def test_other_steps_and_variables_are_named(lockstream: Command, a: Path, tmp_path: Path) -> None:
    archive(tmp_path / "c", RUN.logs([0, 1, 7, 8, 9]))
    said = lockstream("archive", "diff", a, tmp_path / "c")
    assert said.code == 3
    assert said.out.startswith("step: 4 steps against 5; in one of them only: [5, 8, 9]\n")
    with h5py.File(a / "run.h5", "r+") as file:
        del file["mass"]
    archive(tmp_path / "d", RUN.logs(STEPS))
    other = tmp_path / "d" / "fake" / "run.h5"
    assert f"mass: only in {other}" in lockstream("archive", "diff", a, other).out


def test_another_shape_or_type(lockstream: Command, a: Path, tmp_path: Path) -> None:
    fields = (replace_field(TWO_FIELDS[0], shape=(6, 4)), replace_field(TWO_FIELDS[1], dtype="u2"))
    archive(tmp_path / "c", replace(RUN, fields=fields).logs(STEPS))
    said = lockstream("archive", "diff", a, tmp_path / "c")
    assert said.code == 3
    assert "u: float32(4, 6, 5) against float32(4, 6, 4)" in said.out
    assert "n: int16(4, 7) against uint16(4, 7)" in said.out


def replace_field(field: Any, **changes: Any) -> Any:
    axes = {"axes": (Axis("y"), Axis("x"))} if len(field.shape) == 2 else {}
    return type(field)(**{name: getattr(field, name) for name in field.__struct_fields__} | axes | changes)


def test_runs_without_steps(lockstream: Command, a: Path, tmp_path: Path) -> None:
    archive(tmp_path / "junk", [[JUNK]])
    archive(tmp_path / "more junk", [[JUNK] * 2])
    assert lockstream("archive", "diff", tmp_path / "junk", tmp_path / "more junk").code == 0
    said = lockstream("archive", "diff", tmp_path / "junk", a)
    assert said.code == 3
    assert f"u: only in {a / 'run.h5'}" in said.out


def test_what_cannot_be_read_is_not_called_equal(lockstream: Command, a: Path, b: Path) -> None:
    with h5py.File(a / "run.h5", "r+") as file:
        packed = file.create_dataset("packed", (4, 8), "f4", chunks=(1, 8), compression=1)
        packed.id.write_direct_chunk((0, 0), b"not deflated")
    said = lockstream("archive", "diff", a, a)
    assert said.code == 1
    assert "cannot be compared to their end" in said.err
    (b / "run.h5").unlink()
    said = lockstream("archive", "diff", a, b)
    assert said.code == 1
    assert "run.h5: cannot be read as HDF5" in said.err


def test_bad_paths(lockstream: Command, a: Path, tmp_path: Path) -> None:
    assert lockstream("archive", "diff", a, tmp_path / "nowhere").code == 2
    assert lockstream("archive", "diff", a).code == 2
    archive(a.parent, replace(RUN, run="other").logs([0]), "other")
    said = lockstream("archive", "diff", a.parent, a)
    assert said.code == 2
    assert f"holds 2 runs; name one, e.g. {a}" in said.err
