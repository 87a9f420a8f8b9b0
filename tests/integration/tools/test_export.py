"""`archive export --zarr`: the same dataset in a Zarr store."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xarray
from support.runs import TWO_FIELDS, FakeRun, archive

from lockstream.bridge.messages import Field
from lockstream.kafka import open_run
from lockstream.kafka.archive import export

Command = Callable[..., Any]
RUN = FakeRun(fields=(*TWO_FIELDS, Field("wave", (6, 5), "c16")), more={"rounding": {"u": 10}})


@pytest.mark.parametrize("status", ["completed", None])
@pytest.mark.parametrize("at_once", [1, 2000, 1 << 30])
def test_it_holds_the_same(
    lockstream: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str | None, at_once: int
) -> None:
    monkeypatch.setattr(export, "EXPORT_BYTES", at_once)
    archive(tmp_path / "archive", RUN.logs([0, 2, 3, 7, 8], status), segment_bytes=1)
    store = tmp_path / "run.zarr"
    said = lockstream("archive", "export", tmp_path / "archive", "--zarr", store)
    assert said == (0, f"{store}\n", "")
    with open_run(tmp_path / "archive") as run, xarray.open_zarr(store, chunks=None) as exported:
        xarray.testing.assert_identical(run.load(), exported.load())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "run.zarr"]


def test_a_run_without_steps(lockstream: Command, tmp_path: Path) -> None:
    archive(tmp_path, RUN.logs([]))
    assert lockstream("archive", "export", tmp_path / "fake", "--zarr", tmp_path / "x.zarr").code == 0
    with xarray.open_zarr(tmp_path / "x.zarr", chunks=None) as exported:
        assert dict(exported.sizes) == {"step": 0, "y": 6, "x": 5, "cell": 7}


def test_what_an_interrupted_export_left_is_no_obstacle(lockstream: Command, tmp_path: Path) -> None:
    archive(tmp_path, RUN.logs([0, 1]))
    (tmp_path / "x.zarr.unfinished").mkdir()
    (tmp_path / "x.zarr.unfinished" / ".zgroup").write_text("half")
    assert lockstream("archive", "export", tmp_path / "fake", "--zarr", tmp_path / "x.zarr").code == 0
    with xarray.open_zarr(tmp_path / "x.zarr", chunks=None) as exported:
        assert exported["step"].values.tolist() == [0, 1]


def test_an_existing_store_is_left_alone(lockstream: Command, tmp_path: Path) -> None:
    archive(tmp_path, RUN.logs([0]))
    store = tmp_path / "x.zarr"
    store.mkdir()
    said = lockstream("archive", "export", tmp_path / "fake", "--zarr", store)
    assert said == (2, "", f"lockstream: --zarr = '{store}': is there already; name a new store\n")


def test_bad_places(lockstream: Command, tmp_path: Path) -> None:
    archive(tmp_path / "archive", RUN.logs([0]))
    archive(tmp_path / "archive", replace(RUN, run="other").logs([0]), "other")
    (tmp_path / "plain").touch()
    said = lockstream("archive", "export", tmp_path / "archive", "--zarr", tmp_path / "x")
    assert said.code == 2
    assert "holds 2 runs; name one" in said.err
    said = lockstream("archive", "export", tmp_path / "archive" / "fake", "--zarr", tmp_path / "plain" / "x")
    assert said.code == 2
    assert "cannot be written (Not a directory)" in said.err
    assert lockstream("archive", "export", tmp_path / "archive" / "fake").code == 2


@pytest.mark.parametrize(
    ("package", "extra"), [("zarr", "zarr"), ("xarray", "analysis"), ("h5netcdf", "analysis")]
)
def test_a_package_that_is_missing_is_named_with_the_cure(
    lockstream: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    archive(tmp_path, RUN.logs([0]))
    monkeypatch.setitem(sys.modules, package, None)
    said = lockstream("archive", "export", tmp_path / "fake", "--zarr", tmp_path / "x.zarr")
    assert said.code == 2
    assert f"needs {package}: pip install 'lockstream[{extra}]'" in said.err
    assert len(said.err.splitlines()) == 1
