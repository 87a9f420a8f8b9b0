"""The contrast lab as a user starts it: one quick run, and what must have come out however fast the machine is."""

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.programs import LOCKSTREAM, run

from lockstream.contrast.experiments import listeners, lost_broker, slow, uneven
from lockstream.contrast.hybrid.experiments import QUICK as WAYS
from lockstream.contrast.hybrid.frames_mpi import IN_FLIGHT
from lockstream.contrast.patterns.in_mpi import PATTERNS
from lockstream.contrast.pipeline.experiment import ALL, RATIO
from lockstream.contrast.results import Experiment, Results, read_results

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]

Find = Callable[[str], Experiment]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("contrast") / "out"
    done = run(LOCKSTREAM, "contrast", "--quick", "--out", out, timeout=840)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return read_results(folder / "results.json")


@pytest.fixture(scope="module")
def find(results: Results) -> Find:
    by_name = {experiment.name: experiment for experiment in results.experiments}
    return by_name.__getitem__


def test_everything_is_measured_and_in_the_report(folder: Path, results: Results) -> None:
    assert results.failures == ()
    assert results.is_quick
    assert {(m.pattern, m.style) for m in results.measurements} == {
        (pattern, style) for pattern in PATTERNS for style in ("mpi", "kafka")
    }
    page = (folder / "report.html").read_text()
    assert set(re.findall(r'<section id="([a-z-]+)"', page)) == {one.name for one in results.experiments}
    assert sorted(path.name for path in folder.iterdir()) == [
        "fits.svg",
        "latency.svg",
        "report.html",
        "report.md",
        "results.json",
    ]


def test_a_report_can_be_written_anew_and_the_fits_reach_farther(folder: Path, tmp_path: Path) -> None:
    again = run(LOCKSTREAM, "contrast", "report", folder / "results.json", "--out", tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "report.html").read_text() == (folder / "report.html").read_text()
    farther = run(LOCKSTREAM, "contrast", "scale-out", folder / "results.json", "--ranks", "10000")
    assert farther.returncode == 0, farther.stderr
    assert "one bridge per node" in farther.stdout


def test_who_interrupts_it_finds_nothing_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [LOCKSTREAM, "contrast", "--quick", "--out", out]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "between 2" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode not in (0, -9)
    assert list(out.iterdir()) == []


def test_all_wait_for_the_slow_one_in_mpi_and_it_alone_is_behind_in_kafka(find: Find) -> None:
    found = find("slow-participant")
    assert found.value("MPI", slow.SLOW) >= slow.SLOW_SECONDS
    assert found.value("Kafka", slow.LAG) > found.value("Kafka", slow.LAG_OF_OTHERS)


def test_every_listener_costs_something_to_somebody(find: Find) -> None:
    found = find("more-listeners")
    assert {outcome.subject for outcome in found.outcomes} == {*listeners.WAYS, listeners.KAFKA}
    assert all(outcome.value is not None and outcome.value > 0 for outcome in found.outcomes)


def test_order_is_kept_within_a_way_and_not_over_all(find: Find) -> None:
    found = find("partitions")
    within = [outcome.value for outcome in found.outcomes if "within" in outcome.quantity]
    assert within
    assert set(within) == {0}
    for subject in ("MPI", "Kafka"):
        assert found.value(subject, "out of turn over all, 1 way") == 0
    assert found.value("Kafka", "out of turn over all, 4 ways") > 0


def test_every_way_does_every_task_once(find: Find) -> None:
    found = find("uneven-tasks")
    for subject in (uneven.SHARES, uneven.SERVED, uneven.GROUP, uneven.QUEUE):
        assert found.value(subject, uneven.DONE) == 64
        assert found.value(subject, uneven.EFFICIENCY) <= 1


def test_nothing_acknowledged_by_all_is_lost_with_a_broker(find: Find) -> None:
    found = find("lost-broker")
    assert found.value(lost_broker.SAFE, lost_broker.LOST) == 0
    assert found.value(lost_broker.SAFE, lost_broker.DOUBLE) == 0
    assert found.value(lost_broker.SAFE, lost_broker.LEFT_SENT) > 0
    assert found.value(lost_broker.SAFE, lost_broker.LEFT_ACKNOWLEDGED) == 0


@pytest.mark.parametrize("way", ["all MPI", "all Kafka", "bridge"])
def test_all_ways_find_the_same_whatever_becomes_of_the_analysis(find: Find, way: str) -> None:
    frames = WAYS.paced.frames
    assert find("three-ways").value(way, "frames as in a serial run") == WAYS.fast.frames
    assert find("three-ways-slow-analysis").value(way, "frames analysed") == frames
    crashed = find("three-ways-crashed-analysis")
    assert crashed.value(way, "frames analysed when all had ended") == WAYS.crash_at - 1
    assert crashed.value(way, "frames analysed after the repair") == frames
    assert crashed.value(way, "simulation finished") == (way != "all MPI")


def test_a_slow_analysis_holds_up_mpi_and_a_late_one_gets_nothing_of_the_past_there(find: Find) -> None:
    late = find("three-ways-slow-analysis")
    assert late.value("all MPI", "frames left when the simulation ended") <= IN_FLIGHT
    added = find("three-ways-added-analysis")
    missed, before = "of these missed by it", "frames published before it came"
    assert added.value("all MPI", missed) == added.value("all MPI", before) > 0
    for way in ("all Kafka", "bridge"):
        assert added.value(way, missed) == 0
        assert added.value(way, "frames analysed by it") == 2 * WAYS.paced.frames


def test_what_is_counted_in_the_pipeline_and_what_is_timed_agree(find: Find) -> None:
    found = find("littles-law")
    assert found.value(f"{ALL}, analysis falls behind", RATIO) == pytest.approx(1, abs=0.15)
