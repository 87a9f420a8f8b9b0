"""The workflow's numbers do not depend on how it is cut, its journals survive a kill, its sentences say the figures."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from lockstream.contrast.hybrid import findings
from lockstream.contrast.hybrid.analysis import Analyst, Result, digest, examine
from lockstream.contrast.hybrid.frames_kafka import BandsToFrames
from lockstream.contrast.hybrid.journal import Journal, read_journal
from lockstream.contrast.hybrid.serial import serial_results
from lockstream.contrast.hybrid.workflow import Array, Band, Plan
from lockstream.kafka.log import Record

PLAN = Plan(rows=25, columns=12, workers=3, steps=12, every=4)


def in_bands(plan: Plan) -> list[Array]:
    """The frames, computed in bands that hand each other their edges."""
    bands = [Band(plan, worker) for worker in range(plan.workers)]
    frames = []
    for step in range(1, plan.steps + 1):
        for here, band in enumerate(bands):
            band.padded[0] = bands[here - 1].padded[-2]
            bands[here - 1].padded[-1] = band.padded[1]
        for band in bands:
            band.advance()
        if step % plan.every == 0:
            frames.append(np.concatenate([band.own for band in bands]))
    return frames


@pytest.mark.parametrize("workers", [1, 2, 3, 25])
def test_bands_come_to_what_a_serial_run_comes_to(workers: int) -> None:
    plan = msgspec.structs.replace(PLAN, workers=workers)
    found = [examine(4 * (n + 1), frame) for n, frame in enumerate(in_bands(plan))]
    assert digest(found) == digest(serial_results(plan))
    assert len({result.frame for result in found}) == plan.frames


def test_heat_is_neither_made_nor_lost_and_spreads() -> None:
    first, *_, last = in_bands(msgspec.structs.replace(PLAN, steps=200, every=1))
    assert last.sum() == pytest.approx(first.sum(), rel=1e-12)
    assert last.std() < first.std() / 2


@pytest.mark.parametrize("wrong", [{"workers": 26}, {"every": 13}, {"every": 0}, {"workers": 0}])
def test_plans_without_a_row_each_or_a_frame_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="every worker needs a row, and every run a frame"):
        msgspec.structs.replace(PLAN, **wrong).__post_init__()


def test_an_entry_whose_writer_was_killed_in_it_is_taken_away(tmp_path: Path) -> None:
    path, entry = tmp_path / "journal", examine(4, np.zeros((2, 2)))
    with Journal(path, Result) as journal:
        journal.write(entry)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 8' + b" " * len(whole))
    assert read_journal(path, Result) == [entry]
    with Journal(path, Result) as journal:
        journal.write(entry)
    assert path.read_bytes() == 2 * whole


def test_an_analyst_that_comes_back_goes_on_behind_its_last_result(tmp_path: Path) -> None:
    frame = np.full((3, 3), 0.5)
    with Analyst(PLAN, tmp_path / "results") as first:
        first.take(4, frame, resume=7)
    with Analyst(PLAN, tmp_path / "results") as second:
        assert (second.last_step, second.resume, second.is_done) == (4, 7, False)
        second.take(4, frame + 1, resume=8)
        second.take(12, frame, resume=9)
        assert second.is_done
    assert [(r.step, r.resume) for r in read_journal(tmp_path / "results", Result)] == [(4, 7), (12, 9)]


def log_of_bands(plan: Plan) -> list[Record]:
    """What workers write who are up to a frame apart: the last worker is late by one band."""
    bands = [
        (step, worker, np.full(plan.columns * (stop - first), float(step + worker)))
        for step in range(plan.every, plan.steps + 1, plan.every)
        for worker in range(plan.workers)
        for first, stop in [plan.band(worker)]
    ]
    for place in range(plan.workers - 1, len(bands) - 1, plan.workers):
        bands[place], bands[place + 1] = bands[place + 1], bands[place]
    return [
        Record("frames", 0, offset, [("step", b"%d" % step), ("worker", b"%d" % worker)], rows.tobytes())
        for offset, (step, worker, rows) in enumerate(bands)
    ]


def test_bands_become_frames_whenever_the_reader_is_killed() -> None:
    log = log_of_bands(PLAN)
    for killed_after in range(len(log) + 1):
        first, resume, steps = BandsToFrames(PLAN, 0), 0, []
        for record in log[:killed_after]:
            if (whole := first.add(record)) is not None:
                steps.append(whole[0])
                resume = first.resume(record.offset + 1)
        second = BandsToFrames(PLAN, steps[-1] if steps else 0)
        for record in log[resume:]:
            if (whole := second.add(record)) is not None:
                step, frame = whole
                steps.append(step)
                for worker in range(PLAN.workers):
                    assert (frame[slice(*PLAN.band(worker))] == step + worker).all()
        assert steps == [4, 8, 12]
        assert second.resume(len(log)) == len(log)


WAYS = ("all MPI", "all Kafka", "bridge")


def samples(**figures: tuple[float, ...]) -> findings.Samples:
    """One round in each way; a figure of each for `a_b` is called "a b"."""
    return {
        way: [{name.replace("_", " "): values[n] for name, values in figures.items()}]
        for n, way in enumerate(WAYS)
    }


def test_the_sentence_on_speed_says_who_is_first_and_whether_all_agree() -> None:
    figures = {"time_to_solution": (1.0, 5.0, 2.0), "time_per_step": (0.001, 0.004, 0.002)}
    agreed = findings.solution(PLAN, samples(**figures, frames_as_in_a_serial_run=(3, 3, 3))).finding
    assert "1 ms with all MPI and 4.0 times as long with all Kafka" in agreed
    assert "All 3 frames are those of a serial run" in agreed
    apart = findings.solution(PLAN, samples(**figures, frames_as_in_a_serial_run=(3, 2, 3))).finding
    assert "The frames of all Kafka are not those of a serial run" in apart


def test_the_sentence_on_a_slow_analysis_names_whom_it_keeps_waiting() -> None:
    plan = msgspec.structs.replace(PLAN, steps=80, pace=0.01, analysis_seconds=0.2)
    figures = {"slowdown_of_the_simulation": (4.9, 1.0, 1.1)}
    found = findings.slow(plan, samples(**figures, frames_left_when_the_simulation_ended=(3, 16, 15)))
    assert "takes 5.0 times the interval" in found.finding
    assert "4.9 times as long (all MPI)" in found.finding
    assert found.finding.endswith("kept waiting by all MPI.")
    nobody = findings.slow(plan, samples(**figures, frames_left_when_the_simulation_ended=(9, 0, 15)))
    assert nobody.finding.endswith("kept waiting by none of them.")


def test_the_sentence_on_a_crash_names_who_outlived_it_and_who_is_complete() -> None:
    plan = msgspec.structs.replace(PLAN, crash_at=2)
    found = findings.crashed(
        plan,
        samples(
            simulation_finished=(0, 1, 1),
            steps_computed_again=(8, 0, 0),
            frames_analysed_after_the_repair=(3, 3, 2),
        ),
    )
    assert "outlived its analysis in all Kafka, bridge, and died with it in all MPI" in found.finding
    assert "computed again: 8 (all MPI)" in found.finding
    assert found.finding.endswith("all 3 frames are analysed in all MPI, all Kafka.")


def test_the_sentence_on_an_added_analysis_says_how_much_of_the_past_it_got() -> None:
    figures = {"frames_published_before_it_came": (5, 6, 7), "of_these_missed_by_it": (5, 0, 0)}
    found = findings.added(PLAN, samples(**figures, frames_analysed_by_it=(1, 3, 3)))
    assert "0 of 5 in all MPI, 6 of 6 in all Kafka, 7 of 7 in bridge" in found.finding


def test_figures_of_several_rounds_become_median_and_range() -> None:
    rounds = [{"frames published before it came": n, "of these missed by it": 0, "frames analysed by it": n}
              for n in (4, 9, 5)]  # fmt: skip
    found = findings.added(PLAN, dict.fromkeys(WAYS, rounds))
    outcome = next(o for o in found.outcomes if o.quantity == "frames analysed by it")
    assert (outcome.value, outcome.low, outcome.high, outcome.unit) == (5, 4, 9, "frames")
