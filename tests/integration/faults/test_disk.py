"""The archive's disk is full, read-only or gone: the archiver stops in good order with exit code 75, and resumes."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.archiver_program import archiver, end_of, follow_to_end
from support.kafka_logs import produce, stored, verified
from support.runs import FakeRun
from support.waiting import wait_until

from lockstream.bridge.messages import Field
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.broker import BrokerInfo

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
MB = 1 << 20
STEPS = 12
SETS = (f"archive.segment_bytes={MB}", "archive.segment_seconds=0.2")


@pytest.fixture
def source(run_id: str) -> FakeRun:
    """A run whose steps have half a MiB."""
    return FakeRun(run=run_id, fields=(Field("u", (256, 512)),), tile_bytes=1 << 17)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 16 MiB: two and a half times the run."""
    place = tmp_path / "small"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m", "lockstream-test", place)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=False, timeout=20)


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, timeout=20)


def assert_stopped_in_good_order(ended: tuple[int, str], folder: Path, reason: str) -> None:
    code, said = ended
    assert code == 75, said
    assert said.count("\n") == 1, said
    assert str(folder) in said
    assert reason in said
    assert "MB are wanted" in said


def assert_resumes(broker: BrokerInfo, folder: Path, source: FakeRun, sets: tuple[str, ...] = SETS) -> None:
    done = follow_to_end(broker, folder, source.run, sets=sets)
    assert done.returncode == 0, done.stderr
    assert verified(broker, folder / source.run).steps == STEPS
    assert [p.name for p in (folder / source.run).rglob("*.tmp")] == []


@needs_root
def test_a_full_disk(broker: BrokerInfo, source: FakeRun, small_disk: Path) -> None:
    """Whether it is a segment, run.h5 or the merge that finds no room: it stops, and goes on when there is."""
    stored(broker, source.run, source.logs(range(STEPS)))
    archive, ballast = small_disk / "archive", small_disk / "ballast"
    for room in (0, 3 * MB, 9 * MB):
        free = shutil.disk_usage(small_disk).free + (ballast.stat().st_size if ballast.exists() else 0)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free - room, 1))
        done = follow_to_end(broker, archive, source.run, sets=SETS)
        assert_stopped_in_good_order((done.returncode, done.stderr), archive, "No space left on device")
    assert (archive / source.run / "run.h5.tmp").exists()  # it was the merge that found no room at last
    ballast.unlink()
    assert_resumes(broker, archive, source)


def test_a_file_size_limit(broker: BrokerInfo, source: FakeRun, tmp_path: Path) -> None:
    stored(broker, source.run, source.logs(range(STEPS)))
    limited = ("prlimit", f"--fsize={MB}:{MB}")
    with archiver(broker, tmp_path, source.run, sets=SETS, under=limited) as process:
        assert_stopped_in_good_order(end_of(process), tmp_path, "File too large")
    assert_resumes(broker, tmp_path, source)


@needs_root
def test_a_disk_that_turns_read_only(broker: BrokerInfo, source: FakeRun, small_disk: Path) -> None:
    (log,) = source.logs(range(STEPS))
    stored(broker, source.run, [log[:15]])
    with archiver(broker, small_disk, source.run, sets=SETS) as process:
        wait_until(lambda: (small_disk / source.run / "run.h5").exists())
        with read_only(small_disk):
            produce(broker, source.run, [log[15:]])
            assert_stopped_in_good_order(end_of(process), small_disk, "Read-only file system")
            again = follow_to_end(broker, small_disk, source.run, sets=SETS)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "cannot be written (Read-only file system)" in again.stderr
    assert_resumes(broker, small_disk, source)


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Lay the same file system over itself, read-only; a remount is refused while files are open for writing."""
    mount("--bind", place, place)
    mount("-o", "remount,bind,ro", place)
    yield
    subprocess.run(["umount", str(place)], check=True, timeout=20)


@needs_root
def test_a_mount_that_vanishes(broker: BrokerInfo, source: FakeRun, small_disk: Path) -> None:
    """Nothing is written into the empty folder below, where nobody would look for it."""
    (log,) = source.logs(range(STEPS))
    stored(broker, source.run, [log[:15]])
    with archiver(broker, small_disk, source.run, sets=SETS) as process:
        wait_until(lambda: (small_disk / source.run / "run.h5").exists())
        subprocess.run(["umount", "--lazy", str(small_disk)], check=True, timeout=20)
        produce(broker, source.run, [log[15:]])
        assert_stopped_in_good_order(end_of(process), small_disk, "No such file or directory")
    assert list(small_disk.iterdir()) == []
    mount("-t", "tmpfs", "-o", "size=16m", "lockstream-test", small_disk)
    assert_resumes(broker, small_disk, source)


def test_an_archive_folder_that_is_removed(broker: BrokerInfo, source: FakeRun, tmp_path: Path) -> None:
    (log,) = source.logs(range(STEPS))
    stored(broker, source.run, [log[:15]])
    with archiver(broker, tmp_path / "archive", source.run, sets=SETS) as process:
        wait_until(lambda: segment_paths(tmp_path / "archive" / source.run))
        shutil.move(tmp_path / "archive", tmp_path / "away")
        produce(broker, source.run, [log[15:]])
        assert_stopped_in_good_order(end_of(process), tmp_path / "archive", "No such file or directory")
    assert not (tmp_path / "archive").exists()
    shutil.move(tmp_path / "away", tmp_path / "archive")
    assert_resumes(broker, tmp_path / "archive", source)
