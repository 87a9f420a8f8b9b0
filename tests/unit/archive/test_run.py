"""One run over all its partitions and attempts: what a person finds in run.h5, live, merged, and after accidents."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray
from support.runs import JUNK, TWO_FIELDS, FakeRun, Log, archive, record, topic_of

from lockstream.bridge.messages import Axis, Field, Gap
from lockstream.kafka.archive import merge as merge_module
from lockstream.kafka.archive import run_file
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.merge import merge_run
from lockstream.kafka.archive.recovery import merged_file
from lockstream.kafka.archive.run_archiver import RunArchiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.show import describe
from lockstream.kafka.archive.verify import Verified, verify_run
from lockstream.kafka.archive.view import view_run
from lockstream.kafka.errors import ArchiveRefused, NotAnArchive, VerificationFailed

RUN = FakeRun(fields=TWO_FIELDS)
TILES = len(RUN.tiles(0))


def verified(folder: Path) -> Verified:
    result = verify_run(folder)
    assert result.faults == ()
    return result


def assert_shows(folder: Path, steps: dict[int, FakeRun]) -> None:
    """``run.h5`` has exactly these steps, each bit for bit that of the attempt given for it."""
    with h5py.File(folder / "run.h5") as file:
        assert file["step"][()].tolist() == sorted(steps)
        for row, (step, run) in enumerate(sorted(steps.items())):
            for field in run.fields:
                assert file[field.name][row].tobytes() == run.array(field.name, step).tobytes()
            assert file["time"][row] == step / 3
            assert file["mass"][row] == step * 0.1
            assert np.isnan(file["lost"][row]) == bool(step % 2)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".lock"))


def contents(folder: Path) -> dict[str, Any]:
    """Every variable a person sees, by name: elements and attributes."""
    with h5py.File(folder / "run.h5") as file:
        return {
            name: (file[name][()].tobytes(), file[name].dtype.str, dict(file[name].attrs)["units"])
            for name in ("step", "time", "u", "n", "x", "y", "cell")
        } | {name: file[name][()].tobytes() for name in ("mass", "lost")}


@pytest.mark.parametrize("on_end", ["links", "merge"])
@pytest.mark.parametrize("partitions", [1, 2, 3])
@pytest.mark.parametrize("segment_bytes", [1, 400, 1 << 30])
def test_every_step_once_whatever_the_partitions(
    tmp_path: Path, partitions: int, segment_bytes: int, on_end: str
) -> None:
    run = replace(RUN, partitions=partitions)
    steps = [0, 1, 2, 5, 10, 11, 20]
    archive(tmp_path, run.logs(steps), segment_bytes=segment_bytes, on_end=on_end)
    result = verified(tmp_path / "fake")
    assert (result.steps, result.status) == (7, "completed")
    assert result.offsets["archived"] == 7 * (TILES + 1)
    assert result.offsets["control"] == 2 * partitions
    assert_shows(tmp_path / "fake", dict.fromkeys(steps, run))
    assert bool(segment_paths(tmp_path / "fake")) == (on_end == "links")


def test_links_and_merged_file_show_the_same(tmp_path: Path) -> None:
    run = replace(RUN, partitions=3)
    archive(tmp_path, run.logs(range(11)), segment_bytes=300, on_end="links")
    linked = contents(tmp_path / "fake")
    size = describe(tmp_path / "fake").raw_bytes
    merge_run(tmp_path / "fake")
    assert contents(tmp_path / "fake") == linked
    assert describe(tmp_path / "fake").raw_bytes == size
    assert files(tmp_path / "fake") == ["run.h5"]
    verified(tmp_path / "fake")


@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_xarray_opens_it_with_coordinates_and_units(tmp_path: Path, on_end: str) -> None:
    axes = (Axis("y", start=1.0, spacing=0.5, units="m"), Axis("x", units="m"))
    run = FakeRun(fields=(Field("u", (6, 5), "f8", "K", "temperature", axes),))
    archive(tmp_path, run.logs([2, 4]), segment_bytes=1, on_end=on_end)
    with xarray.open_dataset(tmp_path / "fake" / "run.h5", engine="h5netcdf", decode_times=False) as data:
        assert dict(data.sizes) == {"step": 2, "y": 6, "x": 5}
        assert data["u"].dims == ("step", "y", "x")
        assert (data["u"].attrs["units"], data["u"].attrs["long_name"]) == ("K", "temperature")
        assert data["y"].values.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
        assert data["time"].attrs["units"] == "s"
        assert data["mass"].dims == data["time"].dims == ("step",)
        for row, step in enumerate([2, 4]):
            assert data["u"].sel(step=step).values.tobytes() == run.array("u", step).tobytes()
            assert data["u"][row, 1:, 0].values.tobytes() == run.array("u", step)[1:, 0].tobytes()


def test_run_h5_grows_while_the_run_goes_on(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(4))
    sizes = []
    for stop in range(2, len(log) + 1):
        archive(tmp_path, [log[:stop]], segment_bytes=1, on_end="links")
        sizes.append(verified(tmp_path / "fake").steps)
        assert_shows(tmp_path / "fake", dict.fromkeys(range(sizes[-1]), RUN)) if sizes[-1] else None
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (0, 4)


def two_attempts(after_step: int = 2) -> tuple[Log, FakeRun]:
    """Steps 0 to 5, then an attempt from a checkpoint on to step 7 that computes something else."""
    newer = replace(RUN, attempt=1, after_step=after_step)
    log = RUN.logs(range(6), None)[0] + RUN.step(6)[:2] + newer.logs(range(after_step + 1, 8))[0]
    return log, newer


@pytest.mark.parametrize("on_end", ["links", "merge"])
@pytest.mark.parametrize("after_step", [-1, 0, 2, 5])
def test_a_newer_attempt_replaces_steps_from_its_checkpoint_on(
    tmp_path: Path, after_step: int, on_end: str
) -> None:
    log, newer = two_attempts(after_step)
    archive(tmp_path, [log], segment_bytes=300, on_end=on_end)
    result = verified(tmp_path / "fake")
    assert result.offsets["superseded"] == (5 - after_step) * (TILES + 1) + 2
    expected = dict.fromkeys(range(after_step + 1), RUN)
    assert_shows(tmp_path / "fake", expected | dict.fromkeys(range(after_step + 1, 8), newer))
    assert describe(tmp_path / "fake").attempts == 2


@pytest.mark.parametrize("change", [{"tile_bytes": 20}, {"tile_bytes": 1000}, {"more": {"codec": "deflate"}}])
@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_an_attempt_may_cut_and_compress_otherwise(
    tmp_path: Path, change: dict[str, Any], on_end: str
) -> None:
    newer = replace(RUN, attempt=1, after_step=1, **change)
    archive(tmp_path, [RUN.logs(range(4), None)[0] + newer.logs(range(2, 6))[0]], on_end=on_end)
    assert verified(tmp_path / "fake").status == "completed"
    assert_shows(tmp_path / "fake", {0: RUN, 1: RUN} | dict.fromkeys(range(2, 6), newer))


def test_two_attempts_in_several_partitions(tmp_path: Path) -> None:
    old, newer = replace(RUN, partitions=2), replace(RUN, partitions=2, attempt=1, after_step=1)
    logs = [a + b for a, b in zip(old.logs(range(5), "stopped"), newer.logs(range(2, 9)), strict=True)]
    archive(tmp_path, logs, segment_bytes=300, on_end="links")
    merge_run(tmp_path / "fake")
    assert verified(tmp_path / "fake").steps == 9
    assert_shows(tmp_path / "fake", {0: old, 1: old} | dict.fromkeys(range(2, 9), newer))


def test_a_stopped_run_stays_open_for_the_next_attempt(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(3), "stopped")
    archive(tmp_path, [log])
    assert verified(tmp_path / "fake").status == "stopped"
    assert merged_file(tmp_path / "fake") is None
    newer = replace(RUN, attempt=1, after_step=2)
    archive(tmp_path, [log + newer.logs(range(3, 5))[0]])
    assert verified(tmp_path / "fake").status == "completed"
    assert files(tmp_path / "fake") == ["run.h5"]
    assert_shows(tmp_path / "fake", dict.fromkeys(range(3), RUN) | dict.fromkeys(range(3, 5), newer))


def test_following_a_merged_run_again_changes_nothing(tmp_path: Path) -> None:
    logs = RUN.logs(range(5))
    archive(tmp_path, logs, segment_bytes=300)
    before = (tmp_path / "fake" / "run.h5").read_bytes()
    for settings in ({}, {"on_end": "links"}):
        archive(tmp_path, logs, **settings)
        assert (tmp_path / "fake" / "run.h5").read_bytes() == before
    assert files(tmp_path / "fake") == ["run.h5"]


@pytest.mark.parametrize("status", ["completed", "stopped", None])
@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_an_attempt_after_the_merge_loses_nothing(tmp_path: Path, status: str | None, on_end: str) -> None:
    (log,) = RUN.logs(range(5))
    archive(tmp_path, [log], segment_bytes=300)
    newer = replace(RUN, attempt=1, after_step=3)
    archive(tmp_path, [log + newer.logs(range(4, 7), status)[0]], segment_bytes=300, on_end=on_end)
    result = verified(tmp_path / "fake")
    assert result.steps == 7
    assert result.status == (status or "")
    if status:
        assert_shows(tmp_path / "fake", dict.fromkeys(range(4), RUN) | dict.fromkeys(range(4, 7), newer))


def test_junk_after_the_end_is_accounted_for(tmp_path: Path) -> None:
    (log,) = RUN.logs(range(3))
    archive(tmp_path, [log])
    archive(tmp_path, [[*log, JUNK, JUNK]])
    result = verified(tmp_path / "fake")
    assert (result.steps, result.offsets["quarantined"]) == (3, 2)
    assert_shows(tmp_path / "fake", dict.fromkeys(range(3), RUN))


def test_gaps_are_told(tmp_path: Path) -> None:
    (log,) = RUN.logs([0, 2], None)
    log[-TILES - 1 : -TILES - 1] = [record(Gap(run="fake", step=1, reason="buffer full"))]
    archive(tmp_path, [[*log, record(RUN.ended([0, 2]))]])
    assert verified(tmp_path / "fake").gaps == (1,)
    assert describe(tmp_path / "fake").gaps == 1


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_fewer_steps_than_partitions(tmp_path: Path, steps: int, on_end: str) -> None:
    run = replace(RUN, partitions=3)
    archive(tmp_path, run.logs(range(steps)), on_end=on_end)
    assert verified(tmp_path / "fake").steps == steps
    assert_shows(tmp_path / "fake", dict.fromkeys(range(steps), run))


def test_a_topic_of_nothing_but_junk(tmp_path: Path) -> None:
    archive(tmp_path, [[JUNK] * 3])
    assert verified(tmp_path / "fake").offsets["quarantined"] == 3
    assert describe(tmp_path / "fake").steps == 0


def test_a_lost_run_h5_is_made_again(tmp_path: Path) -> None:
    logs = RUN.logs(range(3), None)
    archive(tmp_path, logs, segment_bytes=1)
    (tmp_path / "fake" / "run.h5").unlink()
    assert [fault.what.split(";")[0] for fault in verify_run(tmp_path / "fake").faults] == ["is missing"]
    archive(tmp_path, logs)
    verified(tmp_path / "fake")
    assert_shows(tmp_path / "fake", dict.fromkeys(range(3), RUN))


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    archive(tmp_path, RUN.logs(range(5)), segment_bytes=1, on_end="links")
    return tmp_path / "fake"


def test_dying_before_the_merged_file_is_in_place(linked: Path) -> None:
    run_file.write_merged(linked, view_run(linked))
    assert_shows(linked, dict.fromkeys(range(5), RUN))
    archive(linked.parent, RUN.logs(range(5)))
    assert files(linked) == ["run.h5"]
    verified(linked)


@pytest.mark.parametrize("left", [5, 3, 1])
def test_dying_before_the_segments_are_gone(linked: Path, tmp_path: Path, left: int) -> None:
    shutil.copytree(linked / "segments", tmp_path / "kept")
    merge_run(linked)
    for path in sorted((tmp_path / "kept").iterdir())[-left:]:
        shutil.copy(path, linked / "segments")
    (linked / "run.h5.tmp").write_bytes(b"half")
    assert verified(linked).steps == 5
    archive(linked.parent, RUN.logs(range(5)))
    assert files(linked) == ["run.h5"]
    verified(linked)
    assert_shows(linked, dict.fromkeys(range(5), RUN))


def test_a_merge_that_does_not_verify_keeps_the_segments(
    linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(run_folder: Path, view: Any) -> Path:
        merged = run_file.write_merged(run_folder, view)
        with h5py.File(merged, "r+") as file:
            file["time"][0] += 1
        return merged

    before = files(linked)
    monkeypatch.setattr(merge_module, "write_merged", spoil)
    with pytest.raises(VerificationFailed, match="segments stay"):
        merge_run(linked)
    assert files(linked) == before
    verified(linked)


def test_a_reader_of_the_old_links_is_not_disturbed(linked: Path) -> None:
    with h5py.File(linked / "run.h5") as file:
        merge_run(linked)
        assert file["step"][()].tolist() == [0, 1, 2, 3, 4]


def test_an_archive_can_be_moved(linked: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "fake"
    moved.parent.mkdir()
    linked.rename(moved)
    verified(moved)
    assert_shows(moved, dict.fromkeys(range(5), RUN))


def test_another_topic_of_that_name_is_refused(linked: Path) -> None:
    for topic in (topic_of("fake", topic_id="other"), topic_of("fake", cluster_id="other")):
        with pytest.raises(ArchiveRefused):
            RunArchiver(linked.parent, topic, ArchiveSettings())
    merge_run(linked)
    with pytest.raises(ArchiveRefused):
        RunArchiver(linked.parent, topic_of("fake", topic_id="other"), ArchiveSettings())


def test_nothing_to_merge_or_to_verify(tmp_path: Path) -> None:
    (tmp_path / "fake" / "segments").mkdir(parents=True)
    with pytest.raises(NotAnArchive):
        merge_run(tmp_path / "fake")
    assert "nothing has been sealed" in verify_run(tmp_path / "fake").faults[0].what
