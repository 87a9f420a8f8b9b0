"""`--phases`, `lockstream timeline` and `lockstream scaling` as a user starts them: what they say adds up."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from support.pages import commands
from support.programs import LOCKSTREAM, MPIRUN, mpirun, run

from lockstream.kafka.broker import BrokerInfo
from lockstream.profiling.phases.run import read_run
from lockstream.profiling.scaling.results import read_scaling

ROOT = Path(__file__).parents[2]
EXAMPLES, HOW_TO = ROOT / "examples", ROOT / "docs" / "how-to" / "see-where-the-time-goes.md"
TOML = """
[run]
id = "timed"
model = "heat"
steps = 30
[domain]
shape = [64, 64]
[stream]
every = 3
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(TOML)
    return path


def test_a_streaming_run_is_timed_drawn_and_traced(
    broker: BrokerInfo, run_id: str, toml: Path, tmp_path: Path
) -> None:
    env = {
        "LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "LOCKSTREAM_PHASES": str(tmp_path / "phases"),
    }
    done = mpirun(2, LOCKSTREAM, "simulate", toml, "--set", f"run.id={run_id}", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    timed = read_run(tmp_path / "phases")
    number = timed.names.index("gather")
    for line in timed.ranks:
        assert line.step[line.phase == number].tolist() == list(range(0, 31, 3))
    out = tmp_path / "report"
    shown = run(LOCKSTREAM, "timeline", tmp_path / "phases", "--steps", "3:6", "--out", out)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "| publish |" in shown.stdout
    found = json.loads((out / "report.json").read_text())
    assert {phase["name"] for phase in found["phases"]} >= {
        "compute",
        "halo",
        "gather",
        "publish",
        "stall",
        "wait",
    }
    assert sum(phase["share"] for phase in found["phases"]) == pytest.approx(1)
    assert sum(phase["path_seconds"] for phase in found["phases"]) == pytest.approx(found["seconds"])
    for rank in (0, 1):
        assert sum(phase["seconds"][rank] for phase in found["phases"]) == pytest.approx(found["seconds"])
    events = json.loads((out / "trace.json").read_text())["traceEvents"]
    assert {event["args"]["step"] for event in events if event["ph"] == "X"} == {3, 4, 5, 6}
    assert (out / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "report.html").read_text()


def test_scaling_on_one_and_two_ranks(toml: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    options = ["--ranks", "1,2", "--rounds", "1", "--weak", "--no-stream", "--out", out]
    done = run(LOCKSTREAM, "scaling", toml, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = read_scaling(out / "report.json")
    assert [(sample.ranks, sample.round) for sample in found.samples] == [(1, 0), (2, 0)]
    for sample, point in zip(found.samples, found.points, strict=True):
        assert sum(sample.path.values()) == pytest.approx(sample.seconds)
        assert sum(sample.mean.values()) == pytest.approx(sample.seconds)
        assert point.speedup == pytest.approx(point.ranks * found.points[0].seconds / point.seconds)
    assert found.points[0].speedup == 1
    for n, sample in enumerate(found.samples):
        assert sum(part.seconds[n] for part in found.parts) == pytest.approx(sample.seconds)
    assert "scaled speed-up" in done.stdout
    assert str(out / "report.html") in done.stdout
    for name in ("report.html", "report.md", "scaling.svg"):
        assert (out / name).stat().st_size > 500
    assert not (tmp_path / "checkpoints").exists()


def test_what_cannot_be_run_on_so_many_ranks_is_said_before_anything_runs(toml: Path, tmp_path: Path) -> None:
    options = ["--ranks", "1,2", "--no-stream", "--set", "domain.grid=[1, 1]", "--out", tmp_path / "report"]
    done = run(LOCKSTREAM, "scaling", toml, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("lockstream: domain.grid = [1, 1]")


def test_the_timers_as_a_profiler_find_the_planted_hot_spot(tmp_path: Path) -> None:
    out = tmp_path / "report"
    program = [sys.executable, EXAMPLES / "hot_spot.py", "10"]
    done = run(LOCKSTREAM, "profile", "--tool", "timers", "--out", out, "--", MPIRUN, "-n", "2", *program)
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "report.json").read_text())
    spots = {spot["function"]: spot for spot in found["spots"]}
    assert set(spots) == {"halo", "smooth", "count_close", "reduce"}
    assert all(spot["calls"] == [10, 10] for spot in spots.values())
    first, last = spots["count_close"]["seconds"]
    assert last > first  # it has four times the pairs
    for rank in (0, 1):
        assert sum(spot["seconds"][rank] for spot in spots.values()) <= found["rank_seconds"][rank]
    assert "What each rank was doing when" in (out / "report.html").read_text()


def test_the_program_of_the_how_to_is_timed(tmp_path: Path) -> None:
    (python,) = re.findall(r"^```python\n(.*?)^```", HOW_TO.read_text(), re.DOTALL | re.MULTILINE)
    program = tmp_path / "program.py"
    program.write_text(python)
    done = mpirun(2, sys.executable, program, env={"LOCKSTREAM_PHASES": str(tmp_path / "phases")})
    assert (done.returncode, done.stderr) == (0, "")
    timed = read_run(tmp_path / "phases")
    assert timed.names == ("compute", "halo")
    assert [line.step.tolist()[::2] for line in timed.ranks] == [list(range(100))] * 2


@pytest.mark.drill
def test_the_commands_of_the_how_to_run(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    env = {"PATH": f"{Path(LOCKSTREAM).parent}{os.pathsep}{os.environ['PATH']}"}
    for block in commands(HOW_TO):
        done = run("bash", "-ec", block, cwd=tmp_path, env=env, timeout=300)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "steps-100-110" / "trace.json").exists()
    assert (tmp_path / "lockstream-scaling" / "report.html").exists()
