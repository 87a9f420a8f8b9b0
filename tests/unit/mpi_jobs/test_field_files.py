from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from lockstream.bridge.errors import ConfigurationError
from lockstream.mpi_jobs.field_files import read_field

SHAPE = (6, 9)
VALUES = np.random.default_rng(5).random(SHAPE)


def read(source: Path | str, dtype: str = "float32") -> np.ndarray[Any, Any]:
    return read_field("initial.u", str(source), SHAPE, np.dtype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_npy_and_hdf5_give_what_they_hold(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(VALUES))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["state/u"] = VALUES.astype(">f8")
    for source in (tmp_path / "a.npy", f"{tmp_path / 'a.h5'}:/state/u"):
        field = read(source, dtype)
        assert field.dtype == dtype
        assert field.flags.c_contiguous
        assert np.array_equal(field, VALUES.astype(dtype))


@pytest.mark.parametrize(
    ("mode", "pixels", "expected"),
    [
        ("L", np.arange(54, dtype=np.uint8).reshape(SHAPE) * 4, np.arange(54).reshape(SHAPE) * 4 / 255),
        ("I;16", np.arange(54, dtype=np.uint16).reshape(SHAPE) * 1000, np.arange(54).reshape(SHAPE) / 65.535),
        ("RGB", np.full((*SHAPE, 3), 255, np.uint8), np.ones(SHAPE)),
    ],
)
def test_pictures_become_shades_between_0_and_1(
    tmp_path: Path, mode: str, pixels: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]
) -> None:
    picture = Image.fromarray(pixels)
    assert picture.mode == mode
    picture.save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", "float64") == pytest.approx(expected)


def write_wrong_shape(path: Path) -> None:
    np.save(path / "shape.npy", np.zeros((7, 9)))
    with h5py.File(path / "shape.h5", "w") as file:
        file["u"] = np.zeros((6, 9, 1))
    Image.new("L", (6, 9)).save(path / "shape.png")


@pytest.mark.parametrize(
    ("source", "found"), [("shape.npy", "(7, 9)"), ("shape.h5:u", "(6, 9, 1)"), ("shape.png", "(9, 6)")]
)
def test_a_wrong_shape_is_told_with_the_right_one(tmp_path: Path, source: str, found: str) -> None:
    write_wrong_shape(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path / source)
    assert f"has shape {found}, but domain.shape is (6, 9)" in str(caught.value)
    assert str(tmp_path / source) in str(caught.value)


def test_unusable_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.full(SHAPE, {"a": 1}), allow_pickle=True)
    np.save(tmp_path / "text.npy", np.full(SHAPE, "a"))
    np.save(tmp_path / "complex.npy", np.zeros(SHAPE, complex))
    np.save(tmp_path / "nan.npy", np.full(SHAPE, np.nan))
    np.save(tmp_path / "huge.npy", np.full(SHAPE, 1e300))
    np.save(tmp_path / "short.npy", VALUES)
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-8])
    np.savez(tmp_path / "zip.npz", VALUES)
    (tmp_path / "zip.npz").rename(tmp_path / "zip.npy")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "no.h5").write_bytes(b"not HDF5")
    (tmp_path / "no.png").write_bytes(b"not a picture")
    Image.new("L", SHAPE[::-1]).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:45])
    (tmp_path / "folder.npy").mkdir()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/u"] = VALUES
    reasons = {
        "object.npy": "cannot be read",
        "text.npy": "not real numbers",
        "complex.npy": "not real numbers",
        "nan.npy": "NaN or infinite",
        "huge.npy": "do not fit into the dtype",
        "short.npy": "cannot be read",
        "zip.npy": "cannot be read",
        "empty.npy": "cannot be read",
        "missing.npy": "cannot be read",
        "folder.npy": "cannot be read",
        "no.h5:u": "cannot be read",
        "missing.h5:u": "cannot be read",
        "a.h5:u": "has no dataset 'u'; it holds group",
        "a.h5:group": "has no dataset 'group'",
        "a.h5": "use name.npy",
        "no.png": "cannot be read",
        "cut.png": "cannot be read",
        "a.txt": "use name.npy",
        "a.npy:u": "use name.npy",
    }
    for source, reason in reasons.items():
        with pytest.raises(ConfigurationError) as caught:
            read(tmp_path / source)
        assert reason in str(caught.value), source
        assert "\n" not in str(caught.value)


def test_a_picture_that_unpacks_to_far_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "bomb.png")
    for limit in (3000, 1000):  # Pillow warns beyond the limit and refuses beyond twice as much
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ConfigurationError, match="too large a picture to be decoded safely"):
            read_field("initial.u", str(tmp_path / "bomb.png"), (64, 64), np.dtype(np.float32))
