"""line_profiler, which times every line of the modules that it watches."""

from collections.abc import Sequence
from pathlib import Path

from lockstream.profiling.results import Picture, RankProfile, Unit
from lockstream.profiling.tools.record import read_record, start_inside
from lockstream.profiling.tools.tool import Choices, PythonProgram, Start


class Line:
    """See `Tool`."""

    name = "line"
    unit: Unit = "line"
    package = "line_profiler"
    notes = (
        "Only functions of the program and of watched modules were traced, in the main thread, and no child processes: "
        "not the bridge's publisher.",
        "The time of a line holds that of what it calls: the line of a call and the lines behind it both count it.",
    )

    def ensure_usable(self) -> None:
        """It needs nothing of the machine."""

    def start(self, program: PythonProgram, file: Path, choices: Choices) -> Start:
        """Run the program in our runner."""
        return start_inside(program, "line", str(file), ",".join(choices.watched))

    def read(self, file: Path) -> RankProfile:
        """Return the record."""
        return read_record(file)

    def pictures(self, files: Sequence[Path]) -> tuple[Picture, ...]:
        """Return none: the tables say all."""
        return ()


TOOL = Line()
