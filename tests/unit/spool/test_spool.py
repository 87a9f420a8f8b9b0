"""The spool: order, bounds, what is deleted when, one holder at a time."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.spools import about, expected, item, opened

from lockstream.bridge import spool_segment
from lockstream.bridge.errors import NotASpool, SpoolFull, SpoolLocked, SpoolUnwritable
from lockstream.bridge.spool import Spool
from lockstream.bridge.spool_format import DATA_OFFSET, item_size

EACH = item_size(item(0))


def names(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.items"))


def failing(error: int, after: int = 0) -> Callable[..., int]:
    """``pwritev`` that writes so many bytes and then fails."""
    left = after

    def pwritev(descriptor: int, buffers: Any, offset: int) -> int:
        nonlocal left
        raw = b"".join(buffers)[:left]
        left -= len(raw)
        if not raw:
            raise OSError(error, os.strerror(error))
        return os.pwrite(descriptor, raw, offset)

    return pwritev


def test_what_goes_in_comes_out_in_order(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as spool:
        for seq in (0, 1, 2, 7, 8):
            spool.append(seq, item(seq))
        assert list(spool.read()) == expected((0, 1, 2, 7, 8))
        assert spool.next_item() is None
        spool.append(9, item(9))
        assert list(spool.read()) == expected((9,))
        assert (spool.items, spool.last_seq) == (6, 9)
        assert spool.used_bytes == 2 * DATA_OFFSET + 6 * EACH
    assert names(tmp_path / "run") == [0, 7]  # an episode has a file of its own


def test_it_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(3, item(3))
    with Spool(tmp_path, 1 << 20) as spool:
        spool.append(4, item(4))
        assert spool.cut_off == []
        assert list(spool.read()) == expected((3, 4))
    assert names(tmp_path) == [3]


def test_an_item_that_is_given_up_is_read_again(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(0, item(0))
        spool.append(1, item(1))
        first = spool.next_item()
        assert first is not None
        assert next(first[1]) == expected((0,))[0]
        assert list(spool.read()) == expected((0, 1))
        spool.rewind(1)
        assert list(spool.read()) == expected((1,))


def test_files_roll_and_go_when_they_are_delivered(tmp_path: Path) -> None:
    with opened(tmp_path, roll_bytes=DATA_OFFSET + 2 * EACH) as spool:
        for seq in range(5):
            spool.append(seq, item(seq))
        assert names(tmp_path) == [0, 2, 4]
        assert list(spool.read()) == expected(range(5))
        spool.delivered(2)
        assert names(tmp_path) == [2, 4]
        assert (spool.items, spool.last_seq) == (2, 4)
        spool.rewind(0)
        assert list(spool.read()) == expected((2, 3, 4))
        spool.delivered(4)
        assert (names(tmp_path), spool.items, spool.used_bytes, spool.last_seq) == ([], 0, 0, 4)
        with pytest.raises(ValueError, match="not behind 4"):
            spool.append(4, item(4))
        spool.append(5, item(5))
        assert list(spool.read()) == expected((5,))
        spool.delivered(5)
    with Spool(tmp_path, 1 << 20) as spool:
        assert (spool.items, spool.last_seq) == (0, 5)


def test_failed_deliveries_are_read_before_what_is_newer(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        for seq in (10, 11):
            spool.append(seq, item(seq))
        for seq in (4, 5, 7):
            spool.insert(seq, item(seq))
        spool.append(12, item(12))
        with pytest.raises(ValueError, match="already"):
            spool.insert(5, item(5))
        assert names(tmp_path) == [4, 7, 10]
        assert list(spool.read()) == expected((4, 5, 7, 10, 11, 12))


def test_what_is_inserted_behind_the_reader_is_read_too(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append(10, item(10))
        reading = spool.next_item()
        assert reading is not None
        spool.insert(3, item(3))
        assert list(reading[1]) == expected((10,))
        spool.delivered(3)
        assert list(spool.read()) == expected((10,))
        spool.insert(2, item(2))
        assert spool.items == 2
        assert list(spool.read()) == expected((2, 10))


def test_the_bound_is_kept_and_nothing_of_the_item_is_written(tmp_path: Path) -> None:
    with opened(tmp_path, DATA_OFFSET + 2 * EACH + DATA_OFFSET) as spool:
        spool.append(0, item(0))
        spool.append(1, item(1))
        with pytest.raises(SpoolFull, match=r"spool_bytes") as raised:
            spool.append(2, item(2))
        assert (raised.value.used, raised.value.limit) == (spool.used_bytes, spool.limit_bytes)
        assert list(spool.read()) == expected((0, 1))
        spool.delivered(1)
        spool.append(2, item(2))
        assert list(spool.read()) == expected((2,))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("after", [0, 1, EACH - 1])
def test_an_item_that_the_disk_does_not_take_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: int
) -> None:
    kind = SpoolFull if number in (errno.ENOSPC, errno.EDQUOT) else SpoolUnwritable
    with opened(tmp_path) as spool:
        spool.append(0, item(0))
        with monkeypatch.context() as bent:
            bent.setattr(spool_segment.os, "pwritev", failing(number, after))
            with pytest.raises(kind):
                spool.append(1, item(1))
            with pytest.raises(kind):
                spool.append(5, item(5))
        assert (tmp_path / "000000000000000000.items").stat().st_size == spool.used_bytes
        spool.append(6, item(6))
        assert list(spool.read()) == expected((0, 6))
    with Spool(tmp_path, 1 << 20) as spool:
        assert list(spool.read()) == expected((0, 6))


def test_half_an_item_that_cannot_be_removed_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ftruncate(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    spool = opened(tmp_path)
    spool.append(0, item(0))
    with monkeypatch.context() as bent:
        bent.setattr(spool_segment.os, "pwritev", failing(errno.EIO, EACH // 2))
        bent.setattr(spool_segment.os, "ftruncate", ftruncate)
        with pytest.raises(SpoolUnwritable):
            spool.append(1, item(1))
    spool.append(1, item(1))
    assert list(spool.read()) == expected((0, 1))
    with pytest.raises(SpoolUnwritable):
        spool.close()  # nobody can say what of the first file is on disk
    with Spool(tmp_path, 1 << 20) as spool:
        assert [cut.size for cut in spool.cut_off] == [EACH // 2]
        assert list(spool.read()) == expected((0, 1))


def test_a_failed_sync_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fdatasync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with opened(tmp_path) as spool:
        spool.append(0, item(0))
        with monkeypatch.context() as bent:
            bent.setattr(spool_segment.os, "fdatasync", fdatasync)
            with pytest.raises(SpoolUnwritable):
                spool.sync()
        with pytest.raises(SpoolUnwritable):
            spool.sync()
        spool.append(1, item(1))
        assert names(tmp_path) == [0, 1]
        spool.delivered(0)
        spool.sync()


def test_a_sync_with_nothing_to_do_touches_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(spool_segment.os, "fdatasync", calls.append)
    with opened(tmp_path) as spool:
        spool.append(0, item(0))
        spool.sync()
        calls.clear()
        spool.sync()
        assert calls == []


def test_a_limit_of_the_system_is_a_full_spool(tmp_path: Path) -> None:
    """A real one: the file may not grow beyond RLIMIT_FSIZE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as spool:
        spool.append(0, item(0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (spool.used_bytes + EACH // 2, hard))
        try:
            with pytest.raises(SpoolFull, match="large"):
                spool.append(1, item(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(spool.read()) == expected((0,))


def test_few_files_are_open_however_many_there_are(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with opened(tmp_path) as spool:
        for seq in range(0, 60, 2):
            spool.append(seq, item(seq))
        spool.sync()
        assert len(os.listdir("/proc/self/fd")) <= before + 3  # the lock, and two files
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_holder_who_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; from support.spools import opened; from pathlib import Path; opened(Path(sys.argv[1]))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with opened(tmp_path):
        other = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "SpoolLocked" in other.stderr
        assert f"pid {os.getpid()} on " in other.stderr
        with pytest.raises(SpoolLocked, match=f"pid {os.getpid()}"):
            opened(tmp_path)
    opened(tmp_path).close()


def test_what_is_known_of_the_run_is_kept(tmp_path: Path) -> None:
    with pytest.raises(NotASpool, match="no run's spool"):
        Spool(tmp_path / "none", 1000)
    assert not (tmp_path / "none").exists()
    with opened(tmp_path) as spool:
        spool.remember(41)
    with opened(tmp_path) as spool:
        assert (spool.about.run, spool.last_seq) == ("fake", 41)
    with pytest.raises(NotASpool, match="'fake', not of 'other'"):
        Spool(tmp_path, 1000, about("other"))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnwritable, match="cannot be written"):
        opened(tmp_path / "file" / "run")
