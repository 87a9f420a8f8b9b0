"""Programs are found behind the launcher's words, and nowhere else."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lockstream.profiling.command import interpreter_of, split_command, watched_by_default, wrap_programs
from lockstream.profiling.errors import NoPython
from lockstream.profiling.tools.tool import PythonProgram


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("before", "options", "target", "arguments"),
    [
        ("", "", "a.py", ""),
        ("", "", "a.py", "-m x"),
        ("", "", "-m pkg.mod", "python"),
        ("", "-u -X dev -W error", "a.py", "1"),
        ("mpirun -n 2 -bind-to core", "", "a.py", ""),
        ("srun --mpi=pmi2 -n2", "", "-m mpi4py", "a.py b"),
        ("env A=1 taskset -c 0", "-E", "a.py", ""),
    ],
)
def test_python_by_its_name(before: str, options: str, target: str, arguments: str) -> None:
    words = [*before.split(), sys.executable, *options.split(), *target.split(), *arguments.split()]
    program = PythonProgram(
        interpreter=(sys.executable, *options.split()),
        target=tuple(target.split()),
        arguments=tuple(arguments.split()),
    )
    assert split_command(words) == (before.split(), program)


@pytest.mark.parametrize(
    "first",
    [
        "#!{py}\n",
        "#!/usr/bin/env {py}\n",
        "#!/bin/sh\n'''exec' {py} \"$0\" \"$@\"\n' '''\n",
        "#!/bin/sh\n'''exec' \"{py}\" \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_python_by_a_scripts_first_line(tmp_path: Path, first: str) -> None:
    path = script(tmp_path, "tool", first.format(py=sys.executable) + "from pkg.cli import main\n")
    before, program = split_command(["mpirun", "-n", "2", str(path), "go", "x:y"])
    assert before == ["mpirun", "-n", "2"]
    assert program == PythonProgram(
        interpreter=(sys.executable,), target=(str(path),), arguments=("go", "x:y")
    )
    assert watched_by_default(program) == ("pkg",)


def test_options_of_the_first_line_stay(tmp_path: Path) -> None:
    path = script(tmp_path, "tool", f"#!{sys.executable} -u\n")
    assert interpreter_of(str(path)) == [sys.executable, "-u"]


def test_all_programs_of_one_mpirun() -> None:
    seen: list[tuple[str, ...]] = []

    def wrap(program: PythonProgram) -> Sequence[str]:
        seen.append(program.words)
        return ["W", *program.arguments]

    py = sys.executable
    command = ["mpirun", "-n", "1", py, "a.py", "x", ":", "-n", "2", py, "b.py", "y"]
    wrapped, programs = wrap_programs(command, wrap)
    assert wrapped[1:] == ["-n", "1", "W", "x", ":", "-n", "2", "W", "y"]
    assert seen == [("a.py", "x"), ("b.py", "y")] == [program.words for program in programs]
    assert wrap_programs([py, "a.py", ":", "b"], wrap)[1][0].arguments == (
        ":",
        "b",
    )  # no mpirun: the program's own


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["mpirun", "-n", "2"],
        ["bash", "job.sh"],
        [sys.executable],
        [sys.executable, "-c", "print()"],
        [sys.executable, "-m"],
        [sys.executable, "-"],
        ["mpirun", "-n", "1", sys.executable, "a.py", ":", "-n", "1", "true"],
    ],
)
def test_what_cannot_be_profiled_is_said(words: list[str]) -> None:
    with pytest.raises(NoPython, match=r"program|command"):
        wrap_programs(words, lambda program: program.words)


def test_a_shell_script_is_not_python(tmp_path: Path) -> None:
    assert interpreter_of(str(script(tmp_path, "x", "#!/bin/sh\npython a.py\n"))) is None
    assert interpreter_of(str(script(tmp_path, "y", "\x7fELF\x00\xff"))) is None
    assert interpreter_of(str(tmp_path / "nowhere")) is None


def test_what_is_watched_by_default(tmp_path: Path) -> None:
    def watched(*target: str) -> tuple[str, ...]:
        return watched_by_default(PythonProgram(interpreter=("python",), target=target, arguments=()))

    assert watched("-m", "pkg.sub") == ("pkg",)
    assert watched("-m", "mpi4py") == ()
    assert watched(str(script(tmp_path, "solver.py", "from numpy import sin\n"))) == ()
    assert "lockstream.mpi_jobs" in watched(
        str(script(tmp_path, "l", "from lockstream.cli.main import main\n"))
    )
