"""Running a command with a profiler in every rank, and gathering what they saw."""

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import msgspec

from lockstream.bridge.errors import ConfigurationError, LockstreamError
from lockstream.profiling.command import split_command, watched_by_default, wrap_programs
from lockstream.profiling.errors import NoRecord, RecordUnreadable, ToolUnusable
from lockstream.profiling.machine import this_machine
from lockstream.profiling.merge import merge_spots, merge_trees
from lockstream.profiling.rank import Begun, Order, record_of
from lockstream.profiling.results import MergedSpot, Picture, Profile, RankProfile
from lockstream.profiling.tools.tool import Choices, PythonProgram, Tool

LEAST_SHARE = 0.001  # of a rank's time; places below it on every rank are left out
QUESTION_PATIENCE = 60.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """A run and what was found in it.

    Parameters
    ----------
    exit_code
        Of the command.
    seconds
        That the command took.
    """

    profile: Profile
    pictures: tuple[Picture, ...]
    exit_code: int
    seconds: float


def profile_run(command: Sequence[str], tool: Tool, choices: Choices, folder: Path) -> Profiled:
    """Run a command with `tool` in every Python program that it starts as a rank.

    Parameters
    ----------
    command
        As the user would type it.
    choices
        What the user wants; without `watched`, the package that the program is the door to is watched.
    folder
        A new or empty one; gets the ranks' records.

    Raises
    ------
    ConfigurationError
        The folder cannot be used.
    NoPython, ToolUnusable
        There is nothing to profile, or nothing to do it with.
    NoRecord
        The command ended well, and a rank left nothing.
    LockstreamError
        The command failed and left nothing.
    """
    tool.ensure_usable()
    _, programs = wrap_programs(command, lambda program: program.words)
    chosen = [_ask_interpreter(program, tool, choices) for program in programs]  # before anything is written
    ranks = make_folder(folder).resolve() / "ranks"
    ranks.mkdir()
    numbered = enumerate(chosen)
    is_launched = bool(split_command(command)[0])

    def wrap(program: PythonProgram) -> list[str]:
        number, its = next(numbered)
        order = Order(
            tool=tool.name,
            folder=str(ranks),
            interpreter=program.interpreter,
            target=program.target,
            choices=its,
            is_launched=is_launched,
        )
        file = ranks / f"order-{number}.json"
        file.write_bytes(msgspec.json.encode(order))
        return [program.interpreter[0], "-m", "lockstream.profiling.rank", str(file), *program.arguments]

    wrapped, _ = wrap_programs(command, wrap)
    machine, date = this_machine(), datetime.now(UTC).replace(microsecond=0)
    exit_code, seconds = run_command(wrapped)
    size = max((_begun(file).size for file in ranks.glob("*.begun")), default=0)
    if size == 0:
        raise LockstreamError(f"the command ended with exit code {exit_code} before any rank had begun")
    files = [record_of(ranks, rank) for rank in range(size)]
    seen = [_read(tool, ranks, rank, exit_code) for rank in range(size)]
    spots = tuple(spot for spot in merge_spots(seen) if _matters(spot, seen))
    notes = [*tool.notes, f"Places with less than {LEAST_SHARE:.1%} of every rank's time are left out."]
    if exit_code:
        notes.append(f"The command ended with exit code {exit_code}.")
    if size > machine.cores:
        notes.append(
            f"{size} ranks shared {machine.cores} cores: they waited for a core, which looks like work."
        )
    profile = Profile(
        date=date.isoformat(),
        tool=tool.name,
        unit=tool.unit,
        command=tuple(command),
        machine=machine,
        rank_seconds=tuple(rank.seconds for rank in seen),
        spots=spots,
        tree=merge_trees(seen),
        notes=tuple(notes),
    )
    return Profiled(profile=profile, pictures=tool.pictures(files), exit_code=exit_code, seconds=seconds)


def _matters(spot: MergedSpot, ranks: Sequence[RankProfile]) -> bool:
    """Whether a place, with what it calls, takes a share worth keeping on any rank."""
    times = spot.inclusive or spot.seconds
    return any(
        taken > 0 and taken >= LEAST_SHARE * rank.seconds for taken, rank in zip(times, ranks, strict=True)
    )


def make_folder(folder: Path) -> Path:
    """Make a folder for results, unless it is there and empty."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(
            "--out", str(folder), f"cannot be used ({error.strerror}); name another"
        ) from error
    if not is_empty:
        raise ConfigurationError("--out", str(folder), "is not empty; name a new folder")
    return folder


def run_command(command: Sequence[str]) -> tuple[int, float]:
    """Run a command to its end; return its exit code and how long it took. Signals are handed on to it, once."""
    begin = time.perf_counter()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigurationError(
            "the command", shlex.join(command), f"cannot be started: {error.strerror}"
        ) from error
    with process, _signals_to(process):
        code = process.wait()
    return code if code >= 0 else 128 - code, time.perf_counter() - begin


@contextmanager
def _signals_to(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Who stops the profiling stops the program, and wants to see what was found until then."""

    def hand_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    told = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, hand_on) for number in told}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_QUESTION = """
import sys
from importlib.util import find_spec
for name in sys.argv[1:]:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        spec = None
    places = [] if spec is None else list(spec.submodule_search_locations or []) or [spec.origin or "built-in"]
    print(name, *places, sep="\\t")
"""


def _ask_interpreter(program: PythonProgram, tool: Tool, choices: Choices) -> Choices:
    """Find out whether the program's own Python has what it needs, and where the sources of what is watched lie.

    A process of its own: to find a module can mean to import the package around it, and that may start MPI.
    """
    choices = replace(choices, watched=choices.watched or watched_by_default(program))
    needed = ["lockstream.profiling", *([tool.package] if tool.package else [])]
    python = program.interpreter[0]
    try:
        told = subprocess.run(
            [python, "-c", _QUESTION, *needed, *choices.watched],
            capture_output=True,
            text=True,
            timeout=QUESTION_PATIENCE,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolUnusable(
            f"{python}: cannot be asked what is installed ({error}); name another Python"
        ) from error
    places = {name: found for name, *found in (line.split("\t") for line in told.splitlines())}
    for name in needed:
        if not places.get(name):
            raise ToolUnusable(
                f"--tool {tool.name}: {python} has no {name}; {python} -m pip install 'lockstream[profiling]'"
            )
    for name in choices.watched:
        if not places.get(name):
            raise ConfigurationError(
                "--of", name, f"{python} finds no such module; name one that can be imported"
            )
    return replace(choices, folders=tuple(place for name in choices.watched for place in places[name]))


def _begun(file: Path) -> Begun:
    """Return what a rank said at its begin."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Begun)
    except msgspec.DecodeError as error:
        raise RecordUnreadable(file, error) from error


def _read(tool: Tool, ranks: Path, rank: int, exit_code: int) -> RankProfile:
    """Return a rank's record."""
    try:
        return tool.read(record_of(ranks, rank))
    except FileNotFoundError as error:
        if exit_code:
            raise LockstreamError(
                f"the command ended with exit code {exit_code}, and rank {rank} left no profile"
            ) from error
        if isinstance(error, NoRecord):  # the tool knows better why
            raise
        raise NoRecord(
            f"--tool {tool.name}: rank {rank} left no profile, though the command ended well; it was too short to be "
            "sampled, or ended by os._exit: let it run for some seconds"
        ) from error
