"""pyinstrument, which looks at the calls every millisecond and keeps their tree."""

from collections.abc import Sequence
from pathlib import Path

from lockstream.profiling.results import Picture, RankProfile, Unit
from lockstream.profiling.tools.record import read_record, start_inside
from lockstream.profiling.tools.tool import Choices, PythonProgram, Start


class Pyinstrument:
    """See `Tool`."""

    name = "pyinstrument"
    unit: Unit = "function"
    package = "pyinstrument"
    notes = (
        "Only the main thread of each rank was looked at, and no child processes: not the bridge's publisher.",
        "Time in compiled code counts for the Python function that called it.",
    )

    def ensure_usable(self) -> None:
        """It needs nothing of the machine."""

    def start(self, program: PythonProgram, file: Path, choices: Choices) -> Start:
        """Run the program in our runner."""
        return start_inside(program, "pyinstrument", str(file))

    def read(self, file: Path) -> RankProfile:
        """Return the record."""
        return read_record(file)

    def pictures(self, files: Sequence[Path]) -> tuple[Picture, ...]:
        """Return none: the report draws the tree."""
        return ()


TOOL = Pyinstrument()
