"""cProfile, the deterministic profiler of Python itself: every call is counted and timed."""

from collections.abc import Sequence
from pathlib import Path

from lockstream.profiling.results import Picture, RankProfile, Unit
from lockstream.profiling.tools.record import read_record, start_inside
from lockstream.profiling.tools.tool import Choices, PythonProgram, Start


class CProfile:
    """See `Tool`."""

    name = "cprofile"
    unit: Unit = "function"
    package = "cProfile"
    notes = (
        "Only the main thread of each rank was traced, and no child processes: not the bridge's publisher.",
        "Every call pays for being traced, so that short functions look slower than they are.",
    )

    def ensure_usable(self) -> None:
        """It is part of Python."""

    def start(self, program: PythonProgram, file: Path, choices: Choices) -> Start:
        """Run the program in our runner."""
        return start_inside(program, "cprofile", str(file))

    def read(self, file: Path) -> RankProfile:
        """Return the record."""
        return read_record(file)

    def pictures(self, files: Sequence[Path]) -> tuple[Picture, ...]:
        """Return none: the tables say all."""
        return ()


TOOL = CProfile()
