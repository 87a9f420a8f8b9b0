"""Tools whose records are written by `lockstream.profiling.inside`, in our own format."""

from pathlib import Path

import msgspec

from lockstream.profiling.errors import RecordUnreadable
from lockstream.profiling.results import RankProfile
from lockstream.profiling.tools.tool import PythonProgram, Start


def start_inside(program: PythonProgram, module: str, *arguments: str) -> Start:
    """Return how a program is run inside ``lockstream.profiling.inside.MODULE``."""
    runner = f"lockstream.profiling.inside.{module}"
    return Start(command=[*program.interpreter, "-m", runner, *arguments, *program.words])


def read_record(file: Path) -> RankProfile:
    """Return what such a runner wrote.

    Raises
    ------
    FileNotFoundError
        It wrote nothing.
    RecordUnreadable
        It is not that.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=RankProfile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RecordUnreadable(file, error) from error
