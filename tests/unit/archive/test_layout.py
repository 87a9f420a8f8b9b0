import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lockstream.kafka.archive import layout
from lockstream.kafka.archive.disk import writable_folder
from lockstream.kafka.archive.lock import partition_lock
from lockstream.kafka.errors import ArchiveLocked, NotAnArchive

HOLDER = """
import sys
from pathlib import Path
from lockstream.kafka.archive.lock import partition_lock
with partition_lock(Path(sys.argv[1]), 0):
    print("held", flush=True)
    sys.stdin.read()
"""


def refuse_links(*_: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("links", [True, False])
def test_a_finished_file_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    (tmp_path / "a.tmp").write_text("new")
    layout.publish_new(tmp_path / "a.tmp", tmp_path / "a")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "new")]


@pytest.mark.parametrize("links", [True, False])
def test_a_sealed_file_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    (tmp_path / "a.tmp").write_text("new")
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileExistsError):
        layout.publish_new(tmp_path / "a.tmp", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a.tmp").read_text() == "new"


def test_other_errors_are_not_hidden(tmp_path: Path) -> None:
    (tmp_path / "a.tmp").touch()
    with pytest.raises(FileNotFoundError):
        layout.publish_new(tmp_path / "a.tmp", tmp_path / "nowhere" / "a")


def test_segments_are_listed_in_order_and_leftovers_removed(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    paths = [
        layout.segment_path(tmp_path, p, o) for p, o in [(0, 0), (0, 9), (0, 10**12 - 1), (1, 3), (12, 0)]
    ]
    for path in reversed(paths):
        path.touch()
    leftovers = [path.with_name(path.name + ".tmp") for path in paths]
    for path in leftovers:
        path.touch()
    assert layout.segment_paths(tmp_path) == paths
    assert layout.segment_paths(tmp_path, 1) == paths[3:4]
    assert layout.remove_unsealed(tmp_path, 0) == leftovers[:3]
    assert [path.exists() for path in leftovers] == [False] * 3 + [True] * 2
    assert all(path.exists() for path in paths)


def test_runs_are_found_by_archive_folder_and_file(tmp_path: Path) -> None:
    (tmp_path / "b" / "segments").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.h5").touch()
    (tmp_path / "c").mkdir()
    (tmp_path / "Not a run" / "segments").mkdir(parents=True)
    assert layout.run_folders(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert layout.run_folders(tmp_path / "b") == [tmp_path / "b"]
    assert layout.run_folders(tmp_path / "a" / "run.h5") == [tmp_path / "a"]
    for path in (tmp_path / "c", tmp_path / "nowhere", tmp_path / "a" / "other.h5"):
        with pytest.raises(NotAnArchive, match="no archive there"):
            layout.run_folders(path)


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(ArchiveLocked, match=rf'"pid": {holder.pid}\b'), partition_lock(tmp_path, 0):
                pass
            with partition_lock(tmp_path, 1):
                pass
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait(10)
    with partition_lock(tmp_path, 0):
        assert str(os.getpid()) in (tmp_path / ".lock-p000").read_text()


def test_many_may_look_at_once_whether_an_archive_can_be_written(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        looks = pool.map(lambda _: writable_folder(tmp_path / "archive"), range(400))
    assert set(looks) == {tmp_path / "archive"}
