"""The phase timers on one rank, and the file that they leave."""

import os
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI
from support.phases import rank_phases

from lockstream.bridge.errors import ConfigurationError
from lockstream.mpi_jobs import phases
from lockstream.mpi_jobs.clocks import ClockReading, reading_of, to_common_clock
from lockstream.mpi_jobs.phase_files import (
    PhasesUnreadable,
    RankPhases,
    phase_file,
    read_phases,
    write_phases,
)
from lockstream.mpi_jobs.phases import NoTimers, PhaseTimers, phase_timers

MARK = "0" * 32
HERE = (ClockReading(local=0, offset=0, uncertainty=0),)


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that advances by one whenever it is asked."""
    now = iter(range(1_000_000))
    monkeypatch.setattr(phases, "perf_counter_ns", lambda: next(now))


def intervals(found: RankPhases) -> list[tuple[str, int, int, int]]:
    rows = zip(found.phase, found.begin, found.end, found.step, strict=True)
    return [(found.names[p], int(b), int(e), int(s)) for p, b, e, s in rows]


@pytest.mark.usefixtures("ticks")
def test_a_phase_inside_another_stops_its_clock() -> None:
    timers = PhaseTimers()
    publish, gather = timers.phase("publish"), timers.phase("gather")
    timers.step = 7
    with publish, gather:
        pass
    found = timers.measured(0, 1, MARK, HERE)
    assert intervals(found) == [("publish", 0, 1, 7), ("gather", 1, 2, 7), ("publish", 2, 3, 7)]
    assert dict(zip(found.names, found.totals, strict=True)) == {"publish": 2, "gather": 1}


@pytest.mark.usefixtures("ticks")
def test_an_error_inside_leaves_the_phases_in_order() -> None:
    timers = PhaseTimers()
    outer, inner = timers.phase("a"), timers.phase("b")
    with pytest.raises(KeyError), outer, inner:
        raise KeyError
    with outer:
        pass
    assert [row[:3] for row in intervals(timers.measured(0, 1, MARK, HERE))][-1] == ("a", 4, 5)


@pytest.mark.usefixtures("ticks")
def test_what_does_not_fit_is_counted_and_its_time_is_kept() -> None:
    timers = PhaseTimers(capacity=2)
    work = timers.phase("work")
    for timers.step in range(5):
        with work:
            pass
    found = timers.measured(0, 1, MARK, HERE)
    assert (len(found.begin), found.lost, found.totals, found.until) == (2, 3, (5,), 9)
    assert found.step.tolist() == [0, 1]


def test_names_are_limited() -> None:
    timers = PhaseTimers()
    for name in ("", "x" * 65):
        with pytest.raises(ConfigurationError, match="1 to 64"):
            timers.phase(name)
    for number in range(255):
        timers.phase(str(number))
    timers.phase("3")
    with pytest.raises(ConfigurationError, match="255"):
        timers.phase("one more")


def test_nothing_is_measured_where_nobody_asks(tmp_path: Path) -> None:
    with phase_timers(MPI.COMM_SELF, environ={}) as timers, timers.phase("x"):
        assert isinstance(timers, NoTimers)
    assert list(tmp_path.iterdir()) == []


def test_a_program_of_ones_own_leaves_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "phases"
    with phase_timers(MPI.COMM_SELF, environ={"LOCKSTREAM_PHASES": str(folder)}) as timers:
        work = timers.phase("work")
        for timers.step in range(3):
            with work:
                pass
    found = read_phases(phase_file(folder, 0))
    assert (found.names, found.step.tolist(), len(found.clocks)) == (("work",), [0, 1, 2], 2)
    assert os.listdir(folder) == ["rank-00000.npz"]


def test_a_run_that_fails_leaves_what_it_measured_and_its_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), phase_timers(MPI.COMM_SELF, tmp_path) as timers, timers.phase("x"):
        raise ZeroDivisionError
    assert read_phases(phase_file(tmp_path, 0)).names == ("x",)


def test_files_of_an_earlier_run_with_more_ranks_do_not_stay(tmp_path: Path) -> None:
    phase_file(tmp_path, 5).touch()
    with phase_timers(MPI.COMM_SELF, tmp_path):
        pass
    assert os.listdir(tmp_path) == ["rank-00000.npz"]


def test_a_folder_that_cannot_be_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match="LOCKSTREAM_PHASES"),
        phase_timers(MPI.COMM_SELF, tmp_path / "file"),
    ):
        raise AssertionError("it began")


def test_a_file_says_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "rank-00001.npz"
    clocks = (
        ClockReading(local=3, offset=-9, uncertainty=2),
        ClockReading(local=30, offset=-8, uncertainty=1),
    )
    written = rank_phases(1, 2, [("a", 5, 7), ("b", 7, 7), ("a", 9, 20)], clocks=clocks)
    write_phases(path, written)
    read = read_phases(path)
    for name in RankPhases.__slots__:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


@pytest.mark.parametrize(
    "change",
    [
        {"rank": 2},
        {"mark": "../../etc/passwd"},
        {"names": ("a", "a")},
        {"names": ("a",)},
        {"totals": (13, 1)},
        {"totals": (13,)},
        {"until": 19},
        {"clocks": ()},
        {"begin": np.array([5, 6, 9])},
        {"begin": np.array([5, 7])},
        {"end": np.array([4, 7, 20])},
        {"phase": np.array([0, 1, 2], np.uint8)},
    ],
    ids=str,
)
def test_what_cannot_be_true_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "rank-00001.npz"
    good = rank_phases(1, 2, [("a", 5, 7), ("b", 7, 7), ("a", 9, 20)])
    write_phases(path, good)
    read_phases(path)
    write_phases(path, replace(good, **change))  # type: ignore[arg-type]
    with pytest.raises(PhasesUnreadable, match=r"rank-00001\.npz"):
        read_phases(path)


def test_more_time_than_the_intervals_have_is_believed_only_if_some_were_lost(tmp_path: Path) -> None:
    path, more = tmp_path / "x.npz", rank_phases(0, 1, [("a", 5, 7)])
    write_phases(path, replace(more, totals=(9,), lost=1))
    assert read_phases(path).totals == (9,)
    write_phases(path, replace(more, totals=(1,), lost=1))
    with pytest.raises(PhasesUnreadable, match="sums"):
        read_phases(path)


def test_nothing_is_unpickled_or_blown_up(tmp_path: Path) -> None:
    path = tmp_path / "rank-00000.npz"
    write_phases(path, rank_phases(0, 1, [("a", 5, 7)]))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    objects = tmp_path / "objects.npz"
    np.savez(
        objects,
        allow_pickle=True,
        **{name: np.array([{}], object) for name in ("about", "begin", "end", "step", "phase")},
    )
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    liar = tmp_path / "liar.npz"
    with zipfile.ZipFile(liar, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(b"(1,)", b"(1000000000000,)"))
    more = tmp_path / "more.npz"
    with zipfile.ZipFile(more, "w") as archive:
        for name, data in (members | {"../evil.npy": b""}).items():
            archive.writestr(name, data)
    for path in (objects, bomb, liar, more, tmp_path / "absent.npz"):
        with pytest.raises(PhasesUnreadable):
            read_phases(path)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_file_with_any_byte_changed_is_refused_or_read_but_never_anything_else(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rank-00000.npz"
        write_phases(path, rank_phases(0, 1, [("a", 5, 7), ("b", 8, 9)]))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        with suppress(PhasesUnreadable):
            read_phases(path)


@given(
    true=st.integers(-(10**15), 10**15),
    there=st.integers(0, 10**7),
    back=st.integers(0, 10**7),
    asked=st.integers(0, 10**15),
)
def test_an_offset_is_as_wrong_as_it_says_at_most(true: int, there: int, back: int, asked: int) -> None:
    reading = reading_of(asked, asked + there + true, asked + there + back)
    assert abs(reading.offset - true) <= reading.uncertainty + 1


def test_drift_between_two_readings_is_taken_out() -> None:
    clocks = (
        ClockReading(local=1000, offset=500, uncertainty=1),
        ClockReading(local=2000, offset=600, uncertainty=1),
    )
    assert to_common_clock(np.array([1000, 1500, 2000]), clocks).tolist() == [1500, 2050, 2600]
    assert to_common_clock(np.array([1000]), clocks[:1]).tolist() == [1500]
