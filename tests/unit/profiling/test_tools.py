"""What tools write is read, or refused; where a tool cannot work, one sentence says why and what cures it."""

import os
from pathlib import Path

import pytest

from lockstream.profiling.errors import RecordUnreadable, ToolUnusable
from lockstream.profiling.results import RankProfile, Spot, write_json
from lockstream.profiling.tools import TOOLS, load_tool
from lockstream.profiling.tools.perf import PARANOID, parse_samples
from lockstream.profiling.tools.tool import Choices, PythonProgram

PROGRAM = PythonProgram(interpreter=("python", "-u"), target=("a.py",), arguments=("--tool", "x"))
OURS = ("cprofile", "line", "pyinstrument")


@pytest.mark.parametrize("name", TOOLS)
def test_the_program_is_in_the_command_as_it_was(name: str, tmp_path: Path) -> None:
    tool = load_tool(name)
    command = list(tool.start(PROGRAM, tmp_path / "rank-00000", Choices()).command)
    assert tool.name == name
    assert [word for word in command if word != "---"][-3:] == ["a.py", "--tool", "x"]
    assert "-u" in command[: command.index("a.py")]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"seconds": "1", "spots": []}',
        b'{"seconds": 1, "spots": [{}]}',
        b'{"seconds": 1, "spots": [], "x": 1}',
    ],
)
def test_a_damaged_record_is_refused(name: str, damage: bytes, tmp_path: Path) -> None:
    file = tmp_path / "rank-00000"
    file.write_bytes(damage)
    with pytest.raises(RecordUnreadable, match="rank-00000"):
        load_tool(name).read(file)


def test_a_record_is_read_back(tmp_path: Path) -> None:
    record = RankProfile(seconds=2.5, spots=(Spot(file="a", line=1, function="f", seconds=1, calls=3),))
    write_json(tmp_path / "r", record)
    assert load_tool("cprofile").read(tmp_path / "r") == record


@pytest.mark.parametrize("name", TOOLS)
def test_no_record_is_not_a_damaged_one(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_tool(name).read(tmp_path / "rank-00000")


def test_what_scalene_says(tmp_path: Path) -> None:
    shares = '"n_cpu_percent_python": 20.0, "n_cpu_percent_c": 30.0, "n_sys_percent": 10.0'
    line = f'{{"lineno": 35, {shares}, "n_peak_mb": 7}}'
    idle = '{"lineno": 36, "n_cpu_percent_python": 0, "more": [1]}'
    whole = (
        f'{{"elapsed_time_sec": 10, "memory": true, "files": {{"/x/a.py": {{"lines": [{line}, {idle}]}}}}}}'
    )
    (tmp_path / "r.json").write_text(whole)
    read = load_tool("scalene").read(tmp_path / "r")
    assert read.seconds == 10
    (spot,) = read.spots
    assert (spot.file, spot.line, spot.megabytes) == ("/x/a.py", 35, 7)
    assert (spot.seconds, spot.native) == pytest.approx((6, 3))
    (tmp_path / "r.json").write_text(whole.replace("true", "false"))
    assert load_tool("scalene").read(tmp_path / "r").spots[0].megabytes is None
    (tmp_path / "r.json").write_text(whole[:-3])
    with pytest.raises(RecordUnreadable):
        load_tool("scalene").read(tmp_path / "r")
    (tmp_path / "r.json").write_text("{}")  # what it writes if it saw nothing
    with pytest.raises(FileNotFoundError):
        load_tool("scalene").read(tmp_path / "r")


def test_scalene_need_not_start_itself_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "other.so")
    tool = load_tool("scalene")
    whole = tool.start(PROGRAM, tmp_path / "r", Choices())
    assert whole.environment["LD_PRELOAD"] == "libscalene.so:other.so"
    assert (Path(whole.environment["LD_LIBRARY_PATH"].split(":")[0]) / "libscalene.so").exists()
    lean = tool.start(PROGRAM, tmp_path / "r", Choices(is_cpu_only=True))
    assert "LD_PRELOAD" not in lean.environment
    assert "--cpu-only" in lean.command
    assert "--cpu-only" not in whole.command


def test_what_perf_says() -> None:
    lines = [
        "    250000  ffffffff816e1f32 __d_lookup_rcu ([kernel.kallsyms])",
        "   2004008      7f8a1b404f02 _PyEval_EvalFrameDefault (/usr/lib/libpython3.12.so.1.0)",
        "   2004008      7f8a1b404f03 _PyEval_EvalFrameDefault (/usr/lib/libpython3.12.so.1.0)",
        "   1000000      7f8a1b404f04 py::count_close.<locals>.<genexpr>:/x/hot spot.py (/tmp/perf-12.map)",
        "    500000      7f8a1b404f05 operator new(unsigned long) (/usr/lib/libstdc++.so.6 (deleted))",
        "    500000      7f8a1b404f06 [unknown] (/x/libmpi.so.12)",
        "    500000      7f8a1b404f07 [unknown] (/x/perf-12.map)",
        "    500000      7f8a1b404f07 [unknown] (/x/perf-13.map)",
        "",
        "not a sample",
    ]
    found = {(spot.function, spot.file): (spot.seconds, spot.native) for spot in parse_samples(lines)}
    assert found == {
        ("__d_lookup_rcu", "[kernel.kallsyms]"): (0.00025, 0.00025),
        ("_PyEval_EvalFrameDefault", "/usr/lib/libpython3.12.so.1.0"): pytest.approx(
            (0.004008016, 0.004008016)
        ),
        ("count_close.<locals>.<genexpr>", "/x/hot spot.py"): (0.001, 0.0),
        ("operator new(unsigned long)", "/usr/lib/libstdc++.so.6 (deleted)"): (0.0005, 0.0005),
        ("[unknown]", "/x/libmpi.so.12"): (0.0005, 0.0005),
        ("[unknown]", "/x/perf.map"): (0.001, 0.001),
    }


def test_scalene_watches_the_program_behind_mpi4py(tmp_path: Path) -> None:
    program = PythonProgram(interpreter=("python",), target=("-m", "mpi4py"), arguments=("a.py", "x"))
    command = list(load_tool("scalene").start(program, tmp_path / "r", Choices()).command)
    assert command[command.index("--profile-only") + 1] == str(Path("a.py").resolve())


def fake_perf(folder: Path, code: int) -> None:
    path = folder / "perf"
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("is_there", [True, False])
def test_perf_refused_or_missing_is_one_sentence_with_the_kernels_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    if is_there:
        fake_perf(tmp_path, 255)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolUnusable) as refused:
        load_tool("perf").ensure_usable()
    text = str(refused.value)
    assert refused.value.exit_code == 2
    assert "perf_event_paranoid" in text
    assert f"is {PARANOID.read_text().strip()}" in text
    assert ("sysctl" in text, "apt install" in text) == (is_there, not is_there)
    assert "\n" not in text


def test_perf_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_perf(tmp_path, 0)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    load_tool("perf").ensure_usable()
