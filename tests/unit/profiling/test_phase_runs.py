"""What the phases of all ranks say together."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.phases import Interval, rank_phases

from lockstream.bridge.errors import ConfigurationError
from lockstream.cli.timeline import parse_steps
from lockstream.mpi_jobs.clocks import ClockReading
from lockstream.mpi_jobs.phase_files import PhasesUnreadable, phase_file, write_phases
from lockstream.profiling.errors import NoRecord, RecordUnreadable
from lockstream.profiling.phases.meetings import MEETINGS, critical_path, find_arrivals
from lockstream.profiling.phases.report import notes, totals_table
from lockstream.profiling.phases.run import PhaseRun, merge, read_run
from lockstream.profiling.phases.summary import PhaseTotal, summarise
from lockstream.profiling.phases.timeline import default_window, draw_timeline
from lockstream.profiling.phases.trace import write_trace
from lockstream.profiling.tools import load_tool
from lockstream.profiling.tools.tool import Choices, PythonProgram

# Rank 1 computes twice as long; both then exchange until 11. Rank 0 publishes, rank 1 waits for it.
TWO = [
    [("compute", 0, 5), ("halo", 5, 11), ("publish", 11, 17), ("wait", 17, 18)],
    [("compute", 0, 10), ("halo", 10, 11), ("wait", 11, 18)],
]


def run_of(*ranks: list[Interval]) -> PhaseRun:
    return merge([rank_phases(n, len(ranks), intervals) for n, intervals in enumerate(ranks)])


def phase(run: PhaseRun, name: str) -> PhaseTotal:
    return next(phase for phase in summarise(run).phases if phase.name == name)


def test_totals_shares_and_imbalance() -> None:
    run = run_of(*TWO)
    compute = phase(run, "compute")
    assert compute.seconds == (5e-9, 10e-9)
    assert compute.share == pytest.approx(15 / 36)
    assert compute.imbalance == pytest.approx(4 / 3)
    assert sum(phase.share for phase in summarise(run).phases) == pytest.approx(1)


def test_waiting_lasts_until_the_last_one_comes() -> None:
    run = run_of(*TWO)
    assert phase(run, "halo").waited_seconds == (5e-9, 0)
    assert phase(run, "wait").waited_seconds == (0, 6e-9)


def test_who_left_before_the_last_one_came_has_not_waited_for_it() -> None:
    run = run_of([("gather", 0, 2), ("compute", 2, 9)], [("compute", 0, 5), ("gather", 5, 9)])
    assert phase(run, "gather").waited_seconds == (0, 0)


def test_the_critical_path_goes_through_who_was_waited_for() -> None:
    run = run_of(*TWO)
    path = critical_path(run, find_arrivals(run))
    assert path == {"compute": 10, "halo": 1, "publish": 6, "wait": 1, "other": 0}


def test_unmarked_time_is_other() -> None:
    run = run_of([("compute", 2, 5), ("compute", 9, 12)])
    assert critical_path(run, find_arrivals(run)) == {"compute": 6, "other": 4}
    assert phase(run, "other").seconds == (4e-9,)


@st.composite
def runs(draw: st.DrawFn) -> list[list[Interval]]:
    names = draw(st.lists(st.sampled_from(["compute", "halo", "publish", "wait"]), min_size=1, max_size=12))
    ranks = []
    for _ in range(draw(st.integers(1, 4))):
        now, intervals = draw(st.integers(0, 9)), []
        for name in names:
            begin = now + draw(st.integers(0, 5))
            now = begin + draw(st.integers(0, 9))
            intervals.append((name, begin, now))
        ranks.append(intervals)
    return ranks


@settings(deadline=None, max_examples=60)
@given(runs())
def test_the_critical_path_adds_up_to_the_duration_whatever_happened(ranks: list[list[Interval]]) -> None:
    run = run_of(*ranks)
    path = critical_path(run, find_arrivals(run))
    assert sum(path.values()) == run.duration
    assert min(path.values()) >= 0


def test_clocks_of_two_machines_become_one() -> None:
    late = [(name, begin + 1000, end + 1000) for name, begin, end in TWO[1]]
    clock = ClockReading(local=0, offset=-1000, uncertainty=3000)
    run = merge([rank_phases(0, 2, TWO[0]), rank_phases(1, 2, late, clocks=(clock,))])
    same = run_of(*TWO)
    assert critical_path(run, find_arrivals(run)) == critical_path(same, find_arrivals(same))
    assert any("6.0 µs" in note for note in notes(summarise(run)))


def test_names_are_matched_although_ranks_met_them_in_another_order() -> None:
    run = run_of([("own", 0, 1), ("compute", 1, 2)], [("compute", 0, 1), ("own", 1, 2)])
    assert run.names == ("compute", "own")
    assert [line.phase.tolist() for line in run.ranks] == [[1, 0], [0, 1]]
    assert [line.totals.tolist() for line in run.ranks] == [[1, 1], [1, 1]]


def test_what_was_lost_is_said_and_nothing_is_made_up() -> None:
    first = replace(rank_phases(0, 2, TWO[0]), lost=7, totals=(50, 6, 6, 1), until=70)
    run = merge([first, rank_phases(1, 2, TWO[1])])
    found = summarise(run)
    assert (found.lost, found.known_seconds, found.seconds) == (7, 18e-9, 70e-9)
    assert found.phases[0].seconds == (50e-9, 10e-9)
    assert {phase.path_seconds for phase in found.phases} == {None}
    assert any(note.startswith("7 of 14 intervals did not fit") for note in notes(found))
    assert totals_table(found).rows[0][-1] == "not known"


def test_ranks_of_two_runs_are_not_mixed(tmp_path: Path) -> None:
    for rank in (0, 1):
        write_phases(phase_file(tmp_path, rank), rank_phases(rank, 2, TWO[rank]))
    assert len(read_run(tmp_path).ranks) == 2
    write_phases(phase_file(tmp_path, 1), replace(rank_phases(1, 2, TWO[1]), mark="1" * 32))
    with pytest.raises(PhasesUnreadable, match=r"rank-00001.*not of the same run"):
        read_run(tmp_path)
    phase_file(tmp_path, 1).unlink()
    with pytest.raises(PhasesUnreadable, match="rank-00001"):
        read_run(tmp_path)
    with pytest.raises(PhasesUnreadable, match="no phases of a run"):
        read_run(tmp_path / "elsewhere")


def test_a_run_without_phases_is_said() -> None:
    with pytest.raises(PhasesUnreadable, match="no rank has marked"):
        run_of()
    empty = rank_phases(0, 1, [("x", 0, 0)])
    none = np.array([], np.int64)
    with pytest.raises(PhasesUnreadable, match="no rank has marked"):
        merge([replace(empty, begin=none, end=none, step=none, phase=none.astype(np.uint8))])


# https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
TRACE_EVENT_FORMAT = {
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object", "additionalProperties": {"type": "string"}},
        "traceEvents": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["ph", "pid", "name"],
                "properties": {
                    "pid": {"type": "integer"},
                    "tid": {"type": "integer"},
                    "name": {"type": "string"},
                },
                "oneOf": [
                    {
                        "required": ["ts", "dur", "tid", "cat"],
                        "properties": {
                            "ph": {"const": "X"},
                            "ts": {"type": "number", "minimum": 0},
                            "dur": {"type": "number", "minimum": 0},
                            "cat": {"type": "string"},
                            "args": {"type": "object"},
                        },
                    },
                    {
                        "required": ["args"],
                        "properties": {
                            "ph": {"const": "M"},
                            "name": {"enum": ["process_name", "process_sort_index", "thread_name"]},
                        },
                    },
                ],
            },
        },
    },
}


def test_the_trace_is_in_the_trace_event_format_and_has_every_interval(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    run = run_of(*TWO)
    write_trace(path, run)
    trace = json.loads(path.read_bytes())
    jsonschema.validate(trace, TRACE_EVENT_FORMAT)
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    found = [(e["pid"], e["name"], round(e["ts"] * 1e3), round((e["ts"] + e["dur"]) * 1e3)) for e in events]
    assert found == [(rank, *interval) for rank in (0, 1) for interval in TWO[rank]]
    assert {e["name"] for e in events if e["cat"] == "meeting"} == {"halo", "wait"} <= MEETINGS
    write_trace(path, run, (1, 2))
    assert all(event["ph"] == "M" for event in json.loads(path.read_bytes())["traceEvents"])


def long_run(steps: int) -> PhaseRun:
    intervals = [("compute" if n % 2 == 0 else "own", 10 * n, 10 * n + 9) for n in range(steps)]
    phases = rank_phases(0, 1, intervals)
    return merge([replace(phases, step=np.arange(steps))])


def test_the_picture_shows_each_interval_of_the_window_and_the_shares() -> None:
    figure = draw_timeline(run_of(*TWO))
    rows, shares = figure.axes
    bars = [path for collection in rows.collections for path in collection.get_paths()]
    assert len(bars) == 7
    widths = sum(bar.get_width() for container in shares.containers for bar in container)
    assert widths == pytest.approx(200)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        "compute",
        "halo",
        "publish",
        "wait",
    }


def test_the_window_is_as_asked_or_a_few_steps_that_are_there() -> None:
    run = long_run(1000)
    first, last = default_window(run)
    assert 250 <= first < last < 750
    assert last - first == 7
    assert default_window(long_run(5)) == (0, 4)
    rows = draw_timeline(run, (10, 12)).axes[0]
    assert sum(len(collection.get_paths()) for collection in rows.collections) == 3
    with pytest.raises(ConfigurationError, match="known are 0:999"):
        draw_timeline(run, (5000, 6000))


def test_steps_are_read() -> None:
    assert parse_steps("3:4") == (3, 4)
    for text in ("3", "4:3", "a:b", ":", "-1:2"):
        with pytest.raises(ConfigurationError, match="FIRST:LAST"):
            parse_steps(text)


def test_the_tool_timers_reads_phases_and_refuses_what_is_none(tmp_path: Path) -> None:
    tool, file = load_tool("timers"), tmp_path / "rank-00000"
    start = tool.start(
        PythonProgram(interpreter=("python",), target=("a.py",), arguments=()), file, Choices()
    )
    assert start.environment == {"LOCKSTREAM_PHASES": str(tmp_path)}
    for rank in (0, 1):
        write_phases(phase_file(tmp_path, rank), rank_phases(rank, 2, TWO[rank]))
    found = tool.read(file)
    assert found.seconds == 18e-9
    assert [(spot.function, spot.seconds, spot.calls) for spot in found.spots] == [
        ("compute", 5e-9, 1),
        ("halo", 6e-9, 1),
        ("publish", 6e-9, 1),
        ("wait", 1e-9, 1),
    ]
    with pytest.raises(NoRecord, match="marks no phases"):
        tool.read(tmp_path / "rank-00002")
    (picture,) = tool.pictures([file, tmp_path / "rank-00001"])
    assert picture.svg.startswith("<svg")
    write_phases(phase_file(tmp_path, 0), replace(rank_phases(0, 2, TWO[0]), lost=1))
    assert {spot.calls for spot in tool.read(file).spots} == {None}
    phase_file(tmp_path, 0).write_bytes(b"{}")
    with pytest.raises(RecordUnreadable, match="rank-00000"):
        tool.read(file)
