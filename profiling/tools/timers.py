"""Our own phase timers: exact, and next to free, but only for programs that mark their phases."""

from collections.abc import Sequence
from pathlib import Path

from lockstream.mpi_jobs.phase_files import PhasesUnreadable, read_phases
from lockstream.mpi_jobs.phases import VARIABLE
from lockstream.profiling.errors import NoRecord, RecordUnreadable
from lockstream.profiling.phases.run import read_run
from lockstream.profiling.phases.timeline import draw_timeline
from lockstream.profiling.report.figures import svg_of
from lockstream.profiling.results import Picture, RankProfile, Spot, Unit
from lockstream.profiling.tools.tool import Choices, PythonProgram, Start


class PhaseTimers:
    """See `Tool`."""

    name = "timers"
    unit: Unit = "phase"
    package = "lockstream"
    notes = (
        "Only what the program marks with phase_timers is seen, each moment as the innermost phase that is marked.",
        "`lockstream timeline` makes a trace for ui.perfetto.dev of the same records.",
    )

    def ensure_usable(self) -> None:
        """They are part of us."""

    def start(self, program: PythonProgram, file: Path, choices: Choices) -> Start:
        """Run the program as it is; it finds in its environment where its phases shall go."""
        return Start(command=(*program.interpreter, *program.words), environment={VARIABLE: str(file.parent)})

    def read(self, file: Path) -> RankProfile:
        """Return the phases as places; of those that did not fit into the timers' memory the sums are known."""
        record = record_of(file)
        if not record.exists():
            cure = "the program marks no phases, with phase_timers of lockstream.mpi_jobs.phases; another tool sees it"
            raise NoRecord(f"--tool timers: {record} is not there: {cure}")
        try:
            found = read_phases(record)
        except PhasesUnreadable as error:
            raise RecordUnreadable(record, error) from None
        begun = int(found.begin[0]) if len(found.begin) else found.until
        calls = [int((found.phase == number).sum()) for number in range(len(found.names))]
        return RankProfile(
            seconds=(found.until - begun) / 1e9,
            spots=tuple(
                Spot(
                    file="",
                    line=0,
                    function=name,
                    seconds=total / 1e9,
                    calls=None if found.lost else count,
                )
                for name, total, count in zip(found.names, found.totals, calls, strict=True)
            ),
        )

    def pictures(self, files: Sequence[Path]) -> tuple[Picture, ...]:
        """Return the timeline."""
        run = read_run(files[0].parent)
        return (Picture(title="What each rank was doing when", svg=svg_of(draw_timeline(run))),)


def record_of(file: Path) -> Path:
    """Return where the timers put what `lockstream profile` calls `file`: they add a suffix."""
    return file.with_name(f"{file.name}.npz")


TOOL = PhaseTimers()
