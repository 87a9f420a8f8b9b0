"""perf, which samples the process from outside: compiled code, the kernel and child processes included."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from lockstream.profiling.errors import RecordUnreadable, ToolUnusable
from lockstream.profiling.results import Picture, RankProfile, Spot, Unit
from lockstream.profiling.tools.tool import Choices, PythonProgram, Start

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
EVENT = [
    "-e",
    "cpu-clock",
    "-F",
    "499",
]  # a timer: virtual machines have no counters; not in step with other timers
NAMES_PYTHON = (3, 12)  # since then ``python -X perf`` tells perf the names of Python functions
PATIENCE = 60.0  # seconds
READING_PATIENCE = 900.0  # an hour of a rank has some two million samples


class Perf:
    """See `Tool`."""

    name = "perf"
    unit: Unit = "symbol"
    package = ""
    notes = (
        "Child processes are in the figures, the bridge's publisher too.",
        "Time for which a process did not run, e.g. for want of a core, is not in the figures.",
        "Kernels that numba compiled have no names: they are addresses without a symbol.",
    ) + (
        ()
        if sys.version_info >= NAMES_PYTHON
        else (
            "Before Python 3.12 perf cannot see Python functions: all of them are in the interpreter's loop.",
        )
    )

    def ensure_usable(self) -> None:
        """Try it on a program that does nothing."""
        if shutil.which("perf") is None:
            cure = "install it (Debian: apt install linux-perf), or use --tool scalene"
            raise ToolUnusable(
                f"--tool perf: perf is not there, kernel.perf_event_paranoid is {_paranoid()}; {cure}"
            )
        with tempfile.TemporaryDirectory() as folder:
            command = ["perf", "record", "-q", *EVENT, "-o", f"{folder}/perf.data", "--", "true"]
            try:
                tried = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
            except subprocess.TimeoutExpired:
                problem = f"--tool perf: perf does not answer within {PATIENCE:.0f} s; use --tool scalene"
                raise ToolUnusable(problem) from None
        if tried.returncode:
            said = tried.stderr.strip().partition("\n")[0].rstrip(":") or f"exit code {tried.returncode}"
            raise ToolUnusable(
                f"--tool perf: perf may not record here ({said}), {PARANOID} is {_paranoid()}; "
                "as root: sysctl kernel.perf_event_paranoid=1 (in a container it takes --cap-add PERFMON too), "
                "or use --tool scalene"
            )

    def start(self, program: PythonProgram, file: Path, choices: Choices) -> Start:
        """Run the program under perf."""
        python, *options = program.interpreter
        command = ["perf", "record", "-q", *EVENT, "-o", str(file), "--", python, "-X", "perf", *options]
        return Start(command=[*command, *program.words])

    def read(self, file: Path) -> RankProfile:
        """Return what perf itself says about its record."""
        if not file.exists():
            raise FileNotFoundError(file)
        command = ["perf", "script", "-i", str(file), "-F", "period,ip,sym,dso"]
        try:
            told = subprocess.run(
                command, capture_output=True, text=True, timeout=READING_PATIENCE, check=False
            )
        except subprocess.TimeoutExpired as error:
            problem = f"perf script has not read it within {READING_PATIENCE:.0f} s; profile a shorter run"
            raise RecordUnreadable(file, problem) from error
        if told.returncode:
            raise RecordUnreadable(file, told.stderr.strip().partition("\n")[0])
        spots = parse_samples(told.stdout.splitlines())
        if not spots:
            raise FileNotFoundError(file)
        return RankProfile(seconds=sum(spot.seconds for spot in spots), spots=spots)

    def pictures(self, files: Sequence[Path]) -> tuple[Picture, ...]:
        """Return none: the tables say all."""
        return ()


_SAMPLE = re.compile(
    r"\s*(?P<period>\d+)\s+[0-9a-f]+\s+(?P<symbol>.+?)\s+\((?P<object>[^()]*(?:\([^()]*\))?)\)\s*$"
)


def parse_samples(lines: Iterable[str]) -> tuple[Spot, ...]:
    """Return the time of each symbol, from lines of ``perf script``; periods of a clock are nanoseconds."""
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for line in lines:
        if (sample := _SAMPLE.match(line)) is not None:
            # Compiled at run time: each process has a map of its own, and the code is the same.
            where = re.sub(r"/perf-\d+\.map$", "/perf.map", sample["object"])
            seconds[where, sample["symbol"]] += int(sample["period"]) * 1e-9
    return tuple(_spot(where, symbol, taken) for (where, symbol), taken in seconds.items())


def _spot(where: str, symbol: str, seconds: float) -> Spot:
    """Make a spot; ``python -X perf`` writes ``py::function:file``."""
    if symbol.startswith("py::"):
        function, _, file = symbol[4:].partition(":")
        return Spot(file=file, line=0, function=function, seconds=seconds, native=0.0)
    return Spot(file=where, line=0, function=symbol, seconds=seconds, native=seconds)


def _paranoid() -> str:
    try:
        return PARANOID.read_text().strip()
    except OSError:
        return "not to be read"


TOOL = Perf()
