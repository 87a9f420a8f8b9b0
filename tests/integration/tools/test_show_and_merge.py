"""`archive show` and `archive merge` over an archive of runs in every state."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
from support import programs
from support.runs import JUNK, FakeRun, archive, record, topic_of

from lockstream.bridge.messages import Axis, Field, Gap
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.run_archiver import RunArchiver
from lockstream.kafka.archive.settings import ArchiveSettings

Command = Callable[..., Any]
AXES = (Axis("y", spacing=0.5, units="m"), Axis("x", units="m"))
WIND = FakeRun(
    run="wind",
    fields=(Field("speed", (6, 5), "f8", "m s-1", axes=AXES), Field("n", (7,), "i2", axes=(Axis("cell"),))),
)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An archive with a merged run, a live one with a gap, one of two attempts, and one that has just begun."""
    archive(tmp_path, WIND.logs(range(10, 14)), "wind")
    live = FakeRun(run="live", partitions=2)
    first, second = live.logs([0, 1, 2, 4], None)
    first += [JUNK, record(Gap(run="live", step=5, reason="buffer full"))]
    archive(tmp_path, [first, [*second, JUNK]], "live", segment_bytes=1)
    old, newer = FakeRun(run="twice"), FakeRun(run="twice", attempt=1, after_step=1)
    log = old.logs(range(4), "stopped")[0] + newer.logs(range(2, 6), "failed")[0]
    archive(tmp_path, [log], "twice")
    (tmp_path / "young" / "segments").mkdir(parents=True)
    (tmp_path / "not a run").mkdir()
    return tmp_path


def test_the_table_has_a_line_per_run(lockstream: Command, runs: Path) -> None:
    said = lockstream("archive", "show", runs)
    assert (said.code, said.err) == (0, "")
    lines = {line.split()[0]: line.split() for line in said.out.splitlines() if not line.startswith(" ")}
    assert lines.keys() == {"run", "wind", "live", "twice", "young"}
    assert lines["wind"][1:7] == ["completed", "4", "(10..13)", "1", "0", "0"]
    assert lines["live"][1:7] == ["open", "4", "(0..4)", "1", "1", "2"]
    assert lines["twice"][1:7] == ["failed", "6", "(0..5)", "2", "0", "0"]
    assert lines["young"][1:3] == ["unsealed", "0"]
    assert "one file" in said.out
    assert f"{len(segment_paths(runs / 'live'))} segments" in said.out


def test_units_are_not_taken_for_markup(lockstream: Command, tmp_path: Path) -> None:
    odd = replace(WIND, fields=(Field("a", (3,), units="m s-1"), Field("b", (3,), units="/bold")))
    archive(tmp_path, odd.logs([0]), "wind")
    said = lockstream("archive", "show", tmp_path)
    assert "a [3] f4 [m s-1]" in said.out
    assert "b [3] f4 [/bold]" in said.out


def test_json_says_the_same_to_programs(lockstream: Command, runs: Path) -> None:
    said = lockstream("archive", "show", runs, "--json")
    assert said.code == 0
    told = {run["run"]: run for run in json.loads(said.out)}
    wind, live, young = told["wind"], told["live"], told["young"]
    assert wind["fields"] == ["speed [6, 5] f8 [m s-1]", "n [7] i2 [1]"]
    assert wind["diagnostics"] == ["lost", "mass"]
    assert wind["raw_bytes"] == 4 * (6 * 5 * 8 + 7 * 2)
    assert wind["stored_bytes"] == (runs / "wind" / "run.h5").stat().st_size
    assert (wind["is_merged"], wind["segments"]) == (True, 0)
    assert live["stored_bytes"] == sum(path.stat().st_size for path in segment_paths(runs / "live"))
    assert (live["is_merged"], live["attempts"], live["gaps"], live["quarantined"]) == (False, 1, 1, 2)
    assert (young["status"], young["steps"], young["raw_bytes"]) == ("unsealed", 0, 0)


@pytest.mark.parametrize("command", ["show", "merge", "xdmf", "verify"])
def test_no_archive_is_the_users_mistake(lockstream: Command, tmp_path: Path, command: str) -> None:
    (tmp_path / "plain").touch()
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "plain"):
        said = lockstream("archive", command, path)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(f"lockstream: {path}: no archive there; name")


def test_a_damaged_file_is_named(lockstream: Command, runs: Path) -> None:
    (runs / "wind" / "run.h5").write_bytes(b"not HDF5")
    said = lockstream("archive", "show", runs)
    assert said.code == 1
    assert "wind/run.h5: cannot be read as HDF5" in said.err
    assert len(said.err.splitlines()) == 1


def test_merging_by_hand(lockstream: Command, runs: Path) -> None:
    (runs / "young" / "segments").rmdir()
    said = lockstream("archive", "merge", runs)
    assert said.code == 0
    assert said.out.split() == [str(runs / run / "run.h5") for run in ("live", "twice", "wind")]
    assert [segment_paths(runs / run) for run in ("live", "twice", "wind")] == [[], [], []]
    with h5py.File(runs / "twice" / "run.h5") as file:
        assert file["step"][()].tolist() == list(range(6))
    assert lockstream("archive", "verify", runs).code == 0
    again = lockstream("archive", "merge", runs / "live" / "run.h5")
    assert again.code == 0


def test_a_run_that_is_being_archived_is_not_merged(runs: Path) -> None:
    before = segment_paths(runs / "live")
    with RunArchiver(runs, topic_of("live", 2), ArchiveSettings()):
        ended = programs.run(programs.LOCKSTREAM, "archive", "merge", runs / "live")
    assert ended.returncode == 2
    assert "another archiver writes this run" in ended.stderr
    assert segment_paths(runs / "live") == before
