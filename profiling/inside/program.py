"""Running a Python program inside this interpreter, as ``python PROGRAM`` or ``python -m MODULE`` would."""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path


def run_program(words: Sequence[str]) -> None:
    """Run a program to its end.

    Parameters
    ----------
    words
        ``["program.py", *arguments]`` or ``["-m", "module", *arguments]``.
    """
    if words[0] == "-m":
        sys.argv = list(words[1:])
        sys.path[0] = str(Path.cwd())
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(words)
        sys.path[0] = str(Path(words[0]).resolve().parent)
        runpy.run_path(words[0], run_name="__main__")


def without_launcher(words: Sequence[str]) -> list[str]:
    """Return what ``-m mpi4py`` would run, for tools that must see the program's own source; abort as it would."""
    if list(words[:2]) != ["-m", "mpi4py"]:
        return list(words)
    before = sys.excepthook

    def abort(kind: type[BaseException], value: BaseException, trace: object) -> None:
        from mpi4py.run import set_abort_status

        set_abort_status(value)
        before(kind, value, trace)  # type: ignore[arg-type]

    sys.excepthook = abort
    return list(words[2:])


def is_ours(file: str) -> bool:
    """Whether a file is the profiler's own, or what runs the program in it."""
    return file.startswith(_FOLDER) or file.endswith("runpy.py") or file == "<frozen runpy>"


_FOLDER = str(Path(__file__).parent)
