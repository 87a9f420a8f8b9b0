"""``python -m lockstream.profiling.rank ORDER ARGUMENT …``: what the launcher starts in the place of a program.

It becomes the profiler with the program in it: the same process, so that the launcher's line to it stays.
"""

import os
import sys
from pathlib import Path

import msgspec

from lockstream.mpi_jobs.launch import launched_tasks
from lockstream.profiling.tools import load_tool
from lockstream.profiling.tools.tool import Choices, PythonProgram


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be profiled, and how.

    Parameters
    ----------
    interpreter, target
        As in `PythonProgram`; the arguments follow on the command line.
    folder
        Gets a record per rank.
    is_launched
        Whether words of a launcher stand before the program; without, it is one process, whatever a batch system says
        of the script around it.
    """

    tool: str
    folder: str
    interpreter: tuple[str, ...]
    target: tuple[str, ...]
    choices: Choices
    is_launched: bool


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Said by each rank before its program begins."""

    size: int


def record_of(folder: Path, rank: int) -> Path:
    """Return where a rank's record is, or is to be."""
    return folder / f"rank-{rank:05d}"


def begun_of(folder: Path, rank: int) -> Path:
    """Return where a rank says that it has begun."""
    return folder / f"rank-{rank:05d}.begun"


def main(order_file: Path, arguments: list[str]) -> None:
    """Turn this process into the profiler."""
    order = msgspec.json.decode(order_file.read_bytes(), type=Order)
    size, rank = launched_tasks(os.environ) if order.is_launched else (1, 0)
    folder = Path(order.folder)
    begun_of(folder, rank).write_bytes(msgspec.json.encode(Begun(size=size)))
    program = PythonProgram(interpreter=order.interpreter, target=order.target, arguments=tuple(arguments))
    start = load_tool(order.tool).start(program, record_of(folder, rank), order.choices)
    os.environ.update(start.environment)
    os.execvp(start.command[0], list(start.command))  # noqa: S606 - the point of it


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
