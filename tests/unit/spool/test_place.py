"""Where spools are kept, and what a place that will not do is told."""

from pathlib import Path

import pytest

from lockstream.bridge.errors import ConfigurationError
from lockstream.bridge.spool_place import spool_place, usable_place


@pytest.mark.parametrize(
    ("setting", "environ", "place"),
    [
        ("/data/spool", {"SLURM_TMPDIR": "/local/7"}, "/data/spool"),
        ("", {"SLURM_TMPDIR": "/local/7", "TMPDIR": "/scratch"}, "/local/7/lockstream-spool"),
        ("", {"TMPDIR": "/scratch"}, "/scratch/lockstream-spool"),
        ("", {"TMPDIR": "/tmp/", "HOME": "/home/me"}, "/home/me/.local/state/lockstream/spool"),  # noqa: S108
        ("", {"TMPDIR": "relative", "XDG_STATE_HOME": "/state"}, "/state/lockstream/spool"),
    ],
)
def test_the_first_that_is_there(setting: str, environ: dict[str, str], place: str) -> None:
    assert spool_place(setting, environ) == Path(place)


def test_nobodys_home() -> None:
    with pytest.raises(ConfigurationError, match=r"stream\.spool = '~nobody-of-that-name/x'"):
        spool_place("~nobody-of-that-name/x")


def test_a_place_is_made(tmp_path: Path) -> None:
    place = usable_place(tmp_path / "a" / "b", 1)
    assert list(place.iterdir()) == []


def test_a_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ConfigurationError, match=r"stream\.spool = .*file/spool.*Not a directory.*name a folder"
    ):
        usable_place(tmp_path / "file" / "spool")


def test_a_place_without_room(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"at least {10**18} are needed; make room"):
        usable_place(tmp_path, 10**18)
