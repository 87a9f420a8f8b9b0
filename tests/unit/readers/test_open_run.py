"""`open_run` over runs in every state: the same dataset, lazily read, that stays right whatever happens meanwhile."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest
import xarray
from support.runs import JUNK, TWO_FIELDS, FakeRun, archive, record

from lockstream.bridge.errors import MissingExtra
from lockstream.bridge.messages import Axis, Field
from lockstream.kafka import open_run
from lockstream.kafka.archive import dataset
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.merge import merge_run
from lockstream.kafka.errors import ArchiveDamaged, ArchiveRefused, NotAnArchive

RUN = FakeRun(fields=TWO_FIELDS)
STEPS = [0, 1, 2, 5, 10, 11, 20]
Array = np.ndarray[Any, Any]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """The folder of a run that goes on: a segment per step, no end yet."""
    archive(tmp_path, RUN.logs(STEPS, None), segment_bytes=1)
    return tmp_path / "fake"


def frames(run: FakeRun, name: str, steps: Sequence[int]) -> Array:
    return np.stack([run.array(name, step) for step in steps])


def assert_holds(data: xarray.Dataset, attempts: dict[int, FakeRun]) -> None:
    """Exactly these steps, each bit for bit that of the attempt given for it."""
    assert data["step"].values.tolist() == list(attempts)
    for name in ("u", "n"):
        expected = [run.array(name, step) for step, run in attempts.items()]
        assert data[name].shape == (len(attempts), *expected[0].shape)
        assert data[name].values.tobytes() == np.stack(expected).tobytes()
    assert data["time"].values.tolist() == [step / 3 for step in attempts]
    assert data["mass"].values.tolist() == [step * 0.1 for step in attempts]
    assert np.isnan(data["lost"].values).tolist() == [bool(step % 2) for step in attempts]


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("status", ["completed", "stopped", None])
@pytest.mark.parametrize("segment_bytes", [1, 1 << 30])
def test_a_run_in_every_state(
    tmp_path: Path, partitions: int, status: str | None, segment_bytes: int
) -> None:
    run = replace(RUN, partitions=partitions)
    archive(tmp_path, run.logs(STEPS, status), segment_bytes=segment_bytes)
    assert bool(segment_paths(tmp_path / "fake")) == (status != "completed")
    for path in (tmp_path, tmp_path / "fake", str(tmp_path / "fake" / "run.h5")):
        with open_run(path) as data:
            assert_holds(data, dict.fromkeys(STEPS, run))
            assert data.attrs["status"] == (status or "open")


def test_a_run_whose_run_h5_is_gone(live: Path) -> None:
    (live / "run.h5").unlink()
    with open_run(live) as data:
        assert_holds(data, dict.fromkeys(STEPS, RUN))


def test_live_and_merged_runs_make_the_same_dataset(tmp_path: Path) -> None:
    axes = (Axis("y", start=1.0, spacing=0.5, units="m"), Axis("x", units="m"))
    run = FakeRun(
        fields=(Field("u", (6, 5), "f4", "K", "temperature", axes), Field("n", (7,), axes=(Axis("cell"),))),
        partitions=2,
        more={
            "rounding": {"u": 10},
            "configuration": {"run": {"steps": 3}},
            "environment": {"host": "node-1"},
        },
    )
    archive(tmp_path, run.logs(STEPS), segment_bytes=1, on_end="links")
    with open_run(tmp_path) as data:
        live = data.load()
    assert live["u"].attrs["maximum_relative_error"] == 2.0**-11
    assert live["time"].attrs["units"] == "s"
    assert live["y"].attrs["units"] == "m"
    assert live.attrs["environment_host"] == "node-1"
    merge_run(tmp_path / "fake")
    with open_run(tmp_path) as merged:
        xarray.testing.assert_identical(live, merged)
        assert set(live.coords) == {"step", "time", "y", "x", "cell"}
    with xarray.open_dataset(tmp_path / "fake" / "run.h5", engine="h5netcdf") as plain:
        xarray.testing.assert_identical(live, plain)


def test_times_that_are_dates_stay_numbers_until_they_are_decoded(tmp_path: Path) -> None:
    (log,) = RUN.logs([0, 3], None)
    log[0] = record(msgspec.structs.replace(RUN.started, time_units="seconds since 2000-01-01"))
    archive(tmp_path, [log])
    with open_run(tmp_path) as live:
        assert live["time"].values.tolist() == [0.0, 1.0]
        dates = xarray.decode_cf(live)["time"].values
    assert dates.astype("datetime64[s]").astype(str).tolist() == [
        "2000-01-01T00:00:00",
        "2000-01-01T00:00:01",
    ]


def test_steps_of_two_attempts(tmp_path: Path) -> None:
    old, newer = replace(RUN, partitions=2), replace(RUN, partitions=2, attempt=1, after_step=2)
    logs = [a + b for a, b in zip(old.logs(range(6), "stopped"), newer.logs(range(3, 9), None), strict=True)]
    archive(tmp_path, logs, segment_bytes=300)
    with open_run(tmp_path) as data:
        assert_holds(data, dict.fromkeys(range(3), old) | dict.fromkeys(range(3, 9), newer))
        assert data.attrs["status"] == "open"


def test_an_attempt_after_the_merge_is_seen(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(5))
    archive(tmp_path, [log], segment_bytes=300)
    newer = replace(RUN, attempt=1, after_step=3)
    archive(tmp_path, [log + newer.logs(range(4, 7), None)[0]], segment_bytes=300)
    with open_run(tmp_path) as data:
        assert_holds(data, dict.fromkeys(range(4), RUN) | dict.fromkeys(range(4, 7), newer))


@pytest.mark.parametrize("status", ["completed", None])
def test_a_run_without_steps(tmp_path: Path, status: str | None) -> None:
    archive(tmp_path, RUN.logs([], status))
    with open_run(tmp_path) as data:
        assert data["u"].shape == (0, 6, 5)
        assert data["u"].values.dtype == "f4"
        assert data["u"][:, 1].values.shape == (0, 5)


def test_a_topic_of_nothing_but_junk(tmp_path: Path) -> None:
    archive(tmp_path, [[JUNK] * 3])
    with open_run(tmp_path) as data:
        assert dict(data.sizes) == {"step": 0}
        assert data.attrs == {"run": "fake", "status": "open"}


def test_what_is_not_there_is_named(tmp_path: Path, live: Path) -> None:
    archive(tmp_path, replace(RUN, run="other").logs([0]), "other")
    with pytest.raises(NotAnArchive, match="holds 2 runs; name one"):
        open_run(tmp_path)
    with pytest.raises(NotAnArchive, match="no archive there"):
        open_run(live / "segments" / "nowhere")


@pytest.mark.parametrize("package", ["xarray", "h5netcdf"])
def test_a_package_that_is_missing_is_named_with_the_cure(
    live: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingExtra, match=rf"open_run needs {package}: pip install 'lockstream\[analysis\]'"
    ):
        open_run(live)


def test_opening_reads_no_field(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, really_read = [], h5py.Dataset.__getitem__

    def spy(variable: h5py.Dataset, *args: Any) -> Any:
        read.append((Path(variable.file.filename).name, variable.name))
        return really_read(variable, *args)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", spy)
    with open_run(live) as data:
        assert not {name for _, name in read} & {"/u", "/n"}
        read.clear()
        data["u"][2:6:2, 1, :].values  # noqa: B018
        segments = [path.name for path in segment_paths(live)]
    assert read == [(segments[2], "/u"), (segments[4], "/u")]


def test_only_who_reads_what_is_damaged_is_disturbed(live: Path) -> None:
    with h5py.File(segment_paths(live)[3], "r+") as file:
        del file["u"]
    with open_run(live) as data:
        assert data["n"].values.tobytes() == frames(RUN, "n", STEPS).tobytes()
        assert data["u"][:3].values.tobytes() == frames(RUN, "u", STEPS[:3]).tobytes()
        with pytest.raises(ArchiveDamaged, match="u of step 5 cannot be read"):
            data["u"].load()


def test_a_segment_that_is_not_hdf5(live: Path) -> None:
    segment_paths(live)[2].write_bytes(b"nothing")
    with pytest.raises(ArchiveDamaged, match="cannot be read as HDF5"):
        open_run(live)


@pytest.mark.parametrize("open_files", [1, 128])
def test_merging_does_not_disturb_a_reader(
    live: Path, monkeypatch: pytest.MonkeyPatch, open_files: int
) -> None:
    monkeypatch.setattr(dataset, "OPEN_FILES", open_files)
    with open_run(live) as data:
        first = data["u"][0].values
        archive(live.parent, RUN.logs([*STEPS, 21]))
        assert [path.name for path in live.glob("*.h5")] == ["run.h5"]
        assert not segment_paths(live)
        assert first.tobytes() == data["u"][0].values.tobytes()
        assert_holds(data, dict.fromkeys(STEPS, RUN))
    with open_run(live) as data:
        assert_holds(data, dict.fromkeys([*STEPS, 21], RUN))


def test_a_merge_while_it_is_being_opened(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really_view = dataset.view_run

    def view_then_merge(folder: Path) -> Any:
        view = really_view(folder)
        if segment_paths(folder):
            merge_run(folder)
        return view

    monkeypatch.setattr(dataset, "view_run", view_then_merge)
    with open_run(live) as data:
        assert not segment_paths(live)
        assert_holds(data, dict.fromkeys(STEPS, RUN))


def test_steps_that_a_newer_attempt_replaced_are_refused_not_mixed_up(
    live: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "OPEN_FILES", 1)
    with open_run(live) as data:
        newer = replace(RUN, attempt=1, after_step=5)
        archive(live.parent, [RUN.logs(STEPS, None)[0] + newer.logs([10, 11])[0]])
        with pytest.raises(ArchiveRefused, match="open it again"):
            data["u"].load()
    with open_run(live) as data:
        assert_holds(data, dict.fromkeys([0, 1, 2, 5], RUN) | dict.fromkeys([10, 11], newer))


def open_in(folder: Path) -> int:
    """How many files in a folder this process has open."""
    targets = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
    return sum(target.startswith(f"{folder}{os.sep}") for target in targets)


def test_no_more_than_128_files_are_open_at_once(tmp_path: Path) -> None:
    steps = range(140)
    archive(tmp_path, RUN.logs(steps, None), segment_bytes=1)
    assert len(segment_paths(tmp_path / "fake")) == 140
    with open_run(tmp_path) as data:
        assert data["u"].values.tobytes() == frames(RUN, "u", steps).tobytes()
        assert data["n"][::-1].values.tobytes() == frames(RUN, "n", steps)[::-1].tobytes()
        assert 100 < open_in(tmp_path) <= 128
    assert open_in(tmp_path) == 0


def test_many_threads_read_one_dataset(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "OPEN_FILES", 2)
    with open_run(live) as data, ThreadPoolExecutor(8) as pool:
        rows = list(range(len(STEPS))) * 10
        read = list(pool.map(lambda row: data["u"][row].values.tobytes(), rows))
    assert read == [RUN.array("u", STEPS[row]).tobytes() for row in rows]


def test_changing_a_dataset_changes_no_file(live: Path) -> None:
    with open_run(live) as data:
        changed = data.copy(deep=True)
        changed["u"][0] = 0
        data["n"][1] = 7
        assert not changed["u"][0].values.any()
    with open_run(live) as again:
        assert_holds(again, dict.fromkeys(STEPS, RUN))
