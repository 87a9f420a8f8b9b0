"""Where folders are, and what that means for them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from lockstream.cli.checks import disks
from lockstream.cli.checks.disks import Folder, check_disks, kind_of, nearest
from lockstream.cli.checks.finding import Finding, State

MOUNTS = (
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "30 22 0:30 / /scratch rw - lustre mds@tcp:/scratch rw",
    "31 30 0:31 / /scratch/mem\\040ory rw - tmpfs tmpfs rw",
    "32 22 0:32 / /home rw - ext4 /dev/sdb1 rw",
    "33 22 0:33 / /home rw - nfs4 server:/home rw",
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var", "ext4"),
        ("/scratch/me", "lustre"),
        ("/scratchy", "ext4"),
        ("/scratch/mem ory/x", "tmpfs"),
        ("/home/me", "nfs4"),
    ],
)
def test_the_deepest_and_latest_mount_counts(path: str, kind: str) -> None:
    assert kind_of(Path(path), MOUNTS) == kind


def test_a_folder_that_will_be_made_is_judged_by_what_it_is_made_in(tmp_path: Path) -> None:
    assert nearest(tmp_path / "a" / "b") == tmp_path


@pytest.mark.parametrize(
    ("kind", "is_hot", "state"),
    [
        ("ext4", True, State.OK),
        ("tmpfs", False, State.WARNING),
        ("nfs4", True, State.WARNING),
        ("nfs4", False, State.OK),
    ],
)
def test_kinds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, is_hot: bool, state: State
) -> None:
    finding = _look(monkeypatch, tmp_path, kind, is_hot=is_hot)
    assert (finding.state, kind in finding.found) == (state, True)
    assert ("stream.spool" in finding.cure) == (state is State.WARNING)


def test_too_little_room_is_said_with_the_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    finding = _look(monkeypatch, tmp_path, "ext4", wanted=1 << 60)
    assert finding.state is State.WARNING
    assert "1073741824.0 GiB may be needed" in finding.found


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (finding,) = check_disks([Folder(what="spool", path=Path("/proc/none"), setting="stream.spool")])
    assert finding.state is State.FAULT
    assert "/proc cannot be written" in finding.found


def _look(
    monkeypatch: pytest.MonkeyPatch, path: Path, kind: str, *, wanted: int = 0, is_hot: bool = False
) -> Finding:
    def on_kind(_path: Path, _mounts: Sequence[str]) -> str:
        return kind

    monkeypatch.setattr(disks, "kind_of", on_kind)
    folder = Folder(what="spool", path=path, setting="stream.spool", wanted=wanted, is_hot=is_hot)
    (finding,) = check_disks([folder])
    return finding
