"""Finding the Python programs in a command, behind the launcher's words."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lockstream.profiling.errors import NoPython
from lockstream.profiling.tools.tool import PythonProgram

MPIRUNS = ("mpirun", "mpiexec", "mpiexec.hydra", "orterun", "prterun")
LOCKSTREAM = ("lockstream.bridge", "lockstream.cli", "lockstream.kafka", "lockstream.mpi_jobs")

_PYTHON = re.compile(r"python[0-9.]*")
_WITH_VALUE = ("-X", "-W", "--check-hash-based-pycs")
_HEAD = 4096  # bytes of a script; the file may be anything


def wrap_programs(
    command: Sequence[str], wrap: Callable[[PythonProgram], Sequence[str]]
) -> tuple[list[str], tuple[PythonProgram, ...]]:
    """Return the command with every Python program in it replaced, and the programs.

    Parameters
    ----------
    command
        E.g. ``["mpirun", "-n", "2", "python", "solver.py"]``; mpirun may start several programs, apart by colons.
    wrap
        Gets a program and returns what is to be in its place.

    Raises
    ------
    NoPython
        There is none.
    """
    wrapped: list[str] = []
    programs = []
    for part in _parts(command):
        before, program = split_command(part)
        programs.append(program)
        wrapped += [*([":"] if wrapped else []), *before, *wrap(program)]
    return [find_program(wrapped[0]), *wrapped[1:]], tuple(programs)


def split_command(words: Sequence[str]) -> tuple[list[str], PythonProgram]:
    """Return the words before a Python program, and the program."""
    for place, word in enumerate(words):
        if _PYTHON.fullmatch(Path(word).name):
            return list(words[:place]), _after_python(find_program(word), words[place + 1 :])
        if (python := interpreter_of(find_program(word))) is not None:
            program = PythonProgram(
                interpreter=tuple(python), target=(find_program(word),), arguments=tuple(words[place + 1 :])
            )
            return list(words[:place]), program
    raise NoPython(
        f"{shlex.join(words)}: there is no Python program in it; name one behind the launcher's words, e.g. "
        "mpirun -n 2 python solver.py; what a shell script starts cannot be seen from outside"
    )


def watched_by_default(program: PythonProgram) -> tuple[str, ...]:
    """Return the packages that a program is the door to: none for a script of the user's own."""
    if program.target[0] == "-m":
        package = program.target[1].partition(".")[0]
    else:
        found = re.search(r"^\s*from (\w+)[\w.]* import", _head(program.target[0]), re.MULTILINE)
        is_door = found is not None and not program.target[0].endswith(".py")
        package = found[1] if found is not None and is_door else ""
    if package == "lockstream":
        return LOCKSTREAM
    return () if package in ("", "mpi4py") else (package,)


def find_program(word: str) -> str:
    """Return a program's path, on PATH or beside this Python; the word itself if there is none."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(word) or shutil.which(word, path=beside) or word


def interpreter_of(path: str) -> list[str] | None:
    """Return how a script's first lines say that Python runs it; None if they do not."""
    head = _head(path)
    first, _, rest = head.partition("\n")
    if not first.startswith("#!"):
        return None
    words = first[2:].split()
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if word != "-S"]
    if words == ["/bin/sh"] and (found := re.match(r"'''exec' (\S+|\"[^\"]+\") \"\$0\" \"\$@\"", rest)):
        words = [found[1].strip('"')]  # what pip writes if the path is too long for the kernel
    if not words or not _PYTHON.fullmatch(Path(words[0]).name):
        return None
    return [find_program(words[0]), *words[1:]]


def _parts(command: Sequence[str]) -> list[list[str]]:
    if not command:
        raise NoPython("there is no command; write it behind --, e.g. -- mpirun -n 2 python solver.py")
    parts: list[list[str]] = [[]]
    is_mpirun = Path(command[0]).name in MPIRUNS
    for word in command:
        if word == ":" and is_mpirun:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _after_python(python: str, words: Sequence[str]) -> PythonProgram:
    place = 0
    while place < len(words) and words[place].startswith("-") and words[place] not in ("-m", "-c", "-"):
        place += 2 if words[place] in _WITH_VALUE else 1
    target = 2 if words[place : place + 1] == ["-m"] else 1
    if len(words) < place + target or words[place] in ("-c", "-"):
        raise NoPython(
            f"{shlex.join([python, *words])}: only a file or -m MODULE can be profiled; write the program into a file"
        )
    return PythonProgram(
        interpreter=(python, *words[:place]),
        target=tuple(words[place : place + target]),
        arguments=tuple(words[place + target :]),
    )


def _head(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(_HEAD).decode(errors="replace")
    except OSError:
        return ""
