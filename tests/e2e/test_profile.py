"""Every tool is shown the planted hot spot, as a user would, and must find it, or is shown not to."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.programs import LOCKSTREAM, MPIRUN, run

from lockstream.kafka.broker import BrokerInfo
from lockstream.profiling.results import MergedSpot, Node, Profile, read_comparison, read_profile
from lockstream.profiling.tools.perf import PARANOID

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = EXAMPLES / "hot_spot.py"
SOURCE = PROGRAM.read_text().splitlines()
HOT = next(number for number, line in enumerate(SOURCE, 1) if "# the hot line" in line)
STEPS, GRAINS = 25, 150  # of rank 0; rank 1 has twice the grains


def profile(folder: Path, tool: str, *command: str | Path) -> Profile:
    done = run(LOCKSTREAM, "profile", "--tool", tool, "--out", folder, "--", *command)
    assert done.returncode == 0, done.stderr
    assert f"{STEPS} steps" in done.stdout
    assert all((folder / f"report.{suffix}").stat().st_size for suffix in ("html", "md"))
    return read_profile(folder / "report.json")


def hot_spot(folder: Path, tool: str) -> Profile:
    found = profile(folder, tool, MPIRUN, "-n", "2", sys.executable, PROGRAM, str(STEPS))
    assert len(found.rank_seconds) == 2
    assert all(seconds > 0 for seconds in found.rank_seconds)
    return found


def lines(found: Profile) -> dict[int, MergedSpot]:
    return {spot.line: spot for spot in found.spots if Path(spot.file).name == PROGRAM.name}


def functions(found: Profile) -> dict[str, MergedSpot]:
    return {spot.function: spot for spot in found.spots}


def in_phases(number: int) -> bool:
    """Whether a line belongs to a phase that works, not to waiting, the start, or `main`, which calls them."""
    return (
        SOURCE.index("def exchange(comm, field):")
        < number
        <= SOURCE.index("def summarise(comm, field, pairs):")
    )


def test_scalene_finds_the_line_and_the_rank(tmp_path: Path) -> None:
    found = lines(hot_spot(tmp_path / "out", "scalene"))
    hot = found[HOT]
    assert hot.seconds[1] > hot.seconds[0]
    assert hot.text == SOURCE[HOT - 1].strip()
    assert max((spot.seconds[1], number) for number, spot in found.items() if in_phases(number))[1] == HOT
    assert hot.native
    assert hot.native[1] < hot.seconds[1]  # most of it is Python's
    assert any(spot.megabytes and max(spot.megabytes) > 0 for spot in found.values())


def test_line_finds_the_line_and_the_rank_and_counts(tmp_path: Path) -> None:
    found = lines(hot_spot(tmp_path / "out", "line"))
    hot = found[HOT]
    assert hot.calls == (STEPS * GRAINS, STEPS * 2 * GRAINS)
    assert hot.seconds[1] > hot.seconds[0]
    assert max((spot.seconds[1], number) for number, spot in found.items() if in_phases(number))[1] == HOT


def test_cprofile_finds_the_function_and_the_rank_and_counts(tmp_path: Path) -> None:
    found = hot_spot(tmp_path / "out", "cprofile")
    hot, inner = functions(found)["count_close"], functions(found)["count_close.<locals>.<genexpr>"]
    assert hot.calls == (STEPS, STEPS)
    assert inner.calls == tuple(STEPS * sum(range(1, n + 1)) for n in (GRAINS, 2 * GRAINS))
    assert hot.inclusive is not None
    assert hot.inclusive[1] > hot.inclusive[0]
    assert HOT not in {spot.line for spot in found.spots if spot.function == "count_close"}  # not the line


def test_pyinstrument_finds_it_in_the_merged_tree(tmp_path: Path) -> None:
    found = hot_spot(tmp_path / "out", "pyinstrument")
    assert found.tree is not None
    path = path_to(found.tree, "count_close")
    assert [node.function for node in path][-2:] == ["main", "count_close"]
    busy = path[-1].seconds
    assert busy[1] > busy[0]
    assert all(sum(child.seconds[rank] for child in node.children) <= node.seconds[rank] + 1e-6
               for node in path for rank in (0, 1))  # fmt: skip


def path_to(node: Node, function: str) -> list[Node]:
    """Nodes from the root to the first with that name."""
    if node.function == function:
        return [node]
    for child in node.children:
        if rest := path_to(child, function):
            return [node, *rest]
    return []


def test_perf_sees_symbols_or_says_why_not(tmp_path: Path) -> None:
    command = [LOCKSTREAM, "profile", "--tool", "perf", "--out", tmp_path / "out", "--"]
    done = run(*command, MPIRUN, "-n", "2", sys.executable, PROGRAM, str(STEPS))
    if done.returncode == 2:
        assert f"perf_event_paranoid is {PARANOID.read_text().strip()}" in done.stderr
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()
        return
    assert done.returncode == 0, done.stderr
    found = read_profile(tmp_path / "out" / "report.json")
    named = {spot.function for spot in found.spots}
    if sys.version_info >= (3, 12):
        assert any(name.startswith("count_close") for name in named)
    else:
        assert not any("count_close" in name for name in named)
        assert any("perf cannot see Python functions" in note for note in found.notes)
    assert any("EvalFrame" in name or name.startswith("py::") for name in named)
    assert len(found.rank_seconds) == 2


@pytest.mark.drill
def test_as_a_module_of_mpi4py_the_source_is_still_seen(tmp_path: Path) -> None:
    command = [MPIRUN, "-n", "2", sys.executable, "-m", "mpi4py", PROGRAM, str(STEPS)]
    assert lines(profile(tmp_path / "out", "line", *command))[HOT].calls is not None


def test_the_lockstream_command_and_a_folder_that_is_full(tmp_path: Path) -> None:
    command = [
        LOCKSTREAM,
        "profile",
        "--out",
        tmp_path / "out",
        "--",
        MPIRUN,
        "-n",
        "2",
        LOCKSTREAM,
        "simulate",
    ]
    done = run(*command, EXAMPLES / "heat.toml", "--no-stream", "--set", "run.steps=20")
    assert done.returncode == 0, done.stderr
    found = read_profile(tmp_path / "out" / "report.json")
    assert functions(found)["run_simulation"].calls == (1, 1)
    done = run(*command, tmp_path / "nowhere.toml", "--no-stream")
    assert done.returncode == 2
    assert f"--out = '{tmp_path / 'out'}': is not empty" in done.stderr


def test_a_consumer(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    env = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    settings = ["--set", f"run.id={run_id}", "--set", "run.steps=20", "--set", "stream.every=5"]
    done = run(LOCKSTREAM, "simulate", EXAMPLES / "heat.toml", *settings, env=env)
    assert done.returncode == 0, done.stderr
    follow = [LOCKSTREAM, "archive", "follow", "--run", run_id, "--archive", tmp_path / "archive"]
    done = run(LOCKSTREAM, "profile", "--out", tmp_path / "out", "--", *follow, env=env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "archive" / run_id / "run.h5").exists()
    found = read_profile(tmp_path / "out" / "report.json")
    assert len(found.rank_seconds) == 1
    assert any("kafka/archive" in spot.file for spot in found.spots)


def test_too_short_is_said_with_a_cure(tmp_path: Path) -> None:
    program = tmp_path / "short.py"
    program.write_text("import os\nos._exit(0)\n")
    done = run(LOCKSTREAM, "profile", "--out", tmp_path / "out", "--", sys.executable, program)
    assert done.returncode == 2
    assert "rank 0 left no profile" in done.stderr
    assert "let it run for some seconds" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_commands_exit_code_and_what_was_seen_until_then(tmp_path: Path) -> None:
    program = tmp_path / "failing.py"
    program.write_text("def work():\n    return sum(range(10**6))\nwork()\nraise SystemExit(75)\n")
    done = run(LOCKSTREAM, "profile", "--out", tmp_path / "out", "--", sys.executable, program)
    assert done.returncode == 75
    assert "work" in functions(read_profile(tmp_path / "out" / "report.json"))


@pytest.mark.parametrize("tool", ["line", "scalene"])
def test_a_package_is_run_by_its_name_and_what_it_imports_is_watched(tool: str, tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("from package.inner import busy\nprint(busy())\n")
    (package / "inner.py").write_text("def busy():\n    return sum(i * i for i in range(2_000_000))\n")
    command = [LOCKSTREAM, "profile", "--tool", tool, "--cpu-only", "--out", tmp_path / "out", "--"]
    done = run(*command, sys.executable, "-m", "package", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2666664666667000000" in done.stdout
    found = {
        (Path(spot.file).name, spot.line) for spot in read_profile(tmp_path / "out" / "report.json").spots
    }
    assert ("inner.py", 2) in found


def test_who_stops_it_sees_what_was_found_until_then(tmp_path: Path) -> None:
    program = tmp_path / "endless.py"
    program.write_text(
        "import time\ndef work():\n    time.sleep(0.01)\nprint('begun', flush=True)\nwhile True:\n    work()\n"
    )
    command = [LOCKSTREAM, "profile", "--out", str(tmp_path / "out"), "--", sys.executable, str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            process.send_signal(signal.SIGINT)  # to the command alone, as kill would; it hands it on
            assert process.wait(60) == 130
        finally:
            process.kill()
    assert "work" in functions(read_profile(tmp_path / "out" / "report.json"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--", "bash", "-c", "true"], "no Python program"),
        (["--of", "no_such_module", "--tool", "line", "--", sys.executable, "x.py"], "finds no such module"),
        (["--tool", "line", "--tool", "cprofile", "--", sys.executable, "x.py"], "--compare"),
        (["--", "/usr/bin/env", "no-such-python3", "x.py"], "no Python program"),
    ],
)
def test_mistakes(words: list[str], said: str, tmp_path: Path) -> None:
    done = run(LOCKSTREAM, "profile", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_being_watched_costs(tmp_path: Path) -> None:
    program = tmp_path / "work.py"
    program.write_text("def one(i):\n    return i\nprint(sum(one(i) for i in range(100000)))\n")
    tools = ["--tool", "cprofile", "--tool", "pyinstrument"]
    compare = [LOCKSTREAM, "profile", "--compare", "--rounds", "2", *tools]
    done = run(*compare, "--out", tmp_path / "out", "--", sys.executable, program)
    assert done.returncode == 0, done.stderr
    found = read_comparison(tmp_path / "out" / "report.json")
    assert len(found.bare.seconds) == 4
    assert [tool.tool for tool in found.tools] == ["cprofile", "pyinstrument"]
    assert all(tool.low <= tool.median <= tool.high and len(tool.seconds) == 2 for tool in found.tools)
    assert found.tools[0].spots[0].function in ("one", "<module>", "<genexpr>")
    assert "| cprofile |" in (tmp_path / "out" / "report.md").read_text()
