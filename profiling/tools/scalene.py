"""scalene, which samples lines and tells Python from native code and where memory is taken."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from lockstream.profiling.errors import RecordUnreadable
from lockstream.profiling.results import Picture, RankProfile, Spot, Unit
from lockstream.profiling.tools.tool import Choices, PythonProgram, Start

WINDOW = "1048576"  # bytes between two samples of memory; scalene's own default


class Scalene:
    """See `Tool`."""

    name = "scalene"
    unit: Unit = "line"
    package = "scalene"
    notes = (
        "Only lines of the program's folder and of watched packages were sampled.",
        "A sample waits until the interpreter comes to its next check: time in a long call into compiled code can be "
        "counted for a line behind it.",
        "The time of the bridge's publisher, a process of its own, is not in the figures.",
    )

    def ensure_usable(self) -> None:
        """It needs nothing of the machine."""

    def start(self, program: PythonProgram, file: Path, choices: Choices) -> Start:
        """Run the program under scalene, with all that it would otherwise start itself once more for.

        A second start closes the line to the launcher, without which MPI cannot begin.
        """
        words = ["run", "--no-stacks", "-o", str(_output(file))]
        if choices.is_cpu_only:
            words.append("--cpu-only")
        if folders := _folders(program, choices):
            words += ["--profile-all", "--profile-only", ",".join(folders)]  # all: even what pip installed
        runner = [*program.interpreter, "-m", "lockstream.profiling.inside.scalene"]
        is_module = program.target[0] == "-m"
        target = (
            [*program.target, *program.arguments]
            if is_module
            else [*program.target, "---", *program.arguments]
        )
        return Start(command=[*runner, *words, *target], environment=_environment(choices.is_cpu_only))

    def read(self, file: Path) -> RankProfile:
        """Return what scalene's JSON says."""
        try:
            told = msgspec.json.decode(_output(file).read_bytes(), type=_Output)
        except (msgspec.DecodeError, RecursionError) as error:
            raise RecordUnreadable(file, error) from error
        if not told.files:
            raise FileNotFoundError(file)
        spots = tuple(
            _spot(name, line, told)
            for name, of_file in told.files.items()
            for line in of_file.lines
            if line.share > 0 or line.n_peak_mb > 0
        )
        return RankProfile(seconds=told.elapsed_time_sec, spots=spots)

    def pictures(self, files: Sequence[Path]) -> tuple[Picture, ...]:
        """Return none: the tables say all."""
        return ()


def _output(file: Path) -> Path:
    """Return scalene's name for a file: it wants this suffix."""
    return file.with_suffix(".json")


class _Line(msgspec.Struct):
    lineno: int
    n_cpu_percent_python: float = 0.0
    n_cpu_percent_c: float = 0.0
    n_sys_percent: float = 0.0
    n_peak_mb: float = 0.0

    @property
    def share(self) -> float:
        """Of the rank's time; `sys` is what scalene calls the time for which the process did not run."""
        return (self.n_cpu_percent_python + self.n_cpu_percent_c + self.n_sys_percent) / 100


class _File(msgspec.Struct):
    lines: list[_Line]


class _Output(msgspec.Struct):
    elapsed_time_sec: float = 0.0
    files: dict[str, _File] = {}
    memory: bool = False


def _spot(file: str, line: _Line, told: _Output) -> Spot:
    seconds = told.elapsed_time_sec
    return Spot(
        file=file,
        line=line.lineno,
        function="",
        seconds=seconds * line.share,
        native=seconds * line.n_cpu_percent_c / 100,
        megabytes=line.n_peak_mb if told.memory else None,
    )


def _folders(program: PythonProgram, choices: Choices) -> list[str]:
    """Return what is to be sampled; empty if it is what scalene samples anyhow."""
    found = list(choices.folders)
    if (
        program.target == ("-m", "mpi4py") and program.arguments
    ):  # which is then no more than another launcher
        found.append(str(Path(program.arguments[0]).resolve()))
    elif found and program.target[0].endswith(".py"):
        found.append(str(Path(program.target[0]).resolve()))
    return found


def _environment(is_cpu_only: bool) -> dict[str, str]:
    environment = {"SCALENE_ALLOCATION_SAMPLING_WINDOW": WINDOW}
    spec = importlib.util.find_spec("scalene")
    if not is_cpu_only and spec is not None and spec.origin is not None:
        before = os.environ.get("LD_LIBRARY_PATH", "")
        folder = str(Path(spec.origin).parent)
        environment["LD_PRELOAD"] = ":".join(
            filter(None, ["libscalene.so", os.environ.get("LD_PRELOAD", "")])
        )
        environment["LD_LIBRARY_PATH"] = ":".join(filter(None, [folder, before]))
    return environment


TOOL = Scalene()
