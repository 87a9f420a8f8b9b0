"""Runs of one simulation on several numbers of ranks, in interleaved rounds, each with its phases timed."""

import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lockstream.bridge.errors import ConfigurationError, LockstreamError, UserError
from lockstream.mpi_jobs.config import Configuration, read_configuration
from lockstream.mpi_jobs.launch import mpirun_command
from lockstream.profiling.phases.run import read_run
from lockstream.profiling.phases.summary import summarise
from lockstream.profiling.scaling.results import Sample

PATIENCE_SECONDS = 5.0


class RunFailed(LockstreamError):
    """A run of the simulation ended with an error, or not in time; the text shows the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured.

    Parameters
    ----------
    config, overrides
        The simulation, see `read_configuration`.
    ranks
        Numbers of ranks, 1 among them, ascending.
    rounds
        How often each is run; all once, then all once more.
    is_weak
        Whether the domain grows with the ranks, along y.
    is_streaming
        Whether the steps are published; each run then has a topic of its own.
    timeout
        Seconds that one run may take.
    """

    config: Path
    overrides: tuple[str, ...]
    ranks: tuple[int, ...]
    rounds: int
    is_weak: bool
    is_streaming: bool
    timeout: float

    def __post_init__(self) -> None:
        if len(self.ranks) < 2 or 1 not in self.ranks or min(self.ranks) < 1:
            shown = ",".join(map(str, self.ranks))
            raise ConfigurationError("--ranks", shown, "must be 1 and at least one larger number, e.g. 1,2,4")
        if self.rounds < 1:
            raise ConfigurationError("--rounds", self.rounds, "must be at least 1")

    def configuration(self, ranks: int) -> Configuration:
        """Return what is run on so many ranks.

        Raises
        ------
        ConfigurationError
            If it cannot be.
        """
        return read_configuration(self.config, os.environ, self._overrides(ranks), ranks)

    def _overrides(self, ranks: int) -> list[str]:
        given = list(self.overrides)
        if self.is_weak:
            ny, nx = read_configuration(self.config, os.environ, given, 1).domain.shape
            given.append(f"domain.shape=[{ny * ranks}, {nx}]")
        return given

    def command(self, ranks: int, run_id: str, folder: Path) -> list[str]:
        """Return how one run is started; its phases go to `folder`/phases."""
        ours = [
            *self._overrides(ranks),
            f"run.id={run_id}",
            f"checkpoint.folder={folder / 'checkpoints'}",
        ]
        words = [*mpirun_command(ranks), sys.executable, "-m", "lockstream.cli", "simulate", str(self.config)]
        words += [word for override in ours for word in ("--set", override)]
        words += ["--phases", str(folder / "phases")]
        return words if self.is_streaming else [*words, "--no-stream"]


def measure(plan: Plan, say: Callable[[str], None]) -> tuple[Sample, ...]:
    """Run everything; `say` is told of each run.

    Raises
    ------
    RunFailed
        If a run does not end well.
    """
    name = plan.configuration(1).run.id[:32]
    mark = uuid.uuid4().hex[:6]
    for ranks in plan.ranks:
        plan.configuration(ranks)  # before anything is run
    samples = []
    for number in range(plan.rounds):
        for ranks in plan.ranks:
            with tempfile.TemporaryDirectory(prefix="lockstream-scaling-") as folder:
                command = plan.command(ranks, f"{name}-{mark}-{number}-{ranks}", Path(folder))
                run_to_end(command, plan.timeout)
                samples.append(_sample(Path(folder) / "phases", ranks, number))
            say(f"round {number + 1} of {plan.rounds}, {ranks} ranks: {samples[-1].seconds:.3g} s")
    return tuple(samples)


def run_to_end(command: Sequence[str], timeout: float) -> None:
    """Run a program; one that does not end in time is ended with all that it started.

    Raises
    ------
    RunFailed
        If it does not end well.
    """
    with tempfile.TemporaryFile() as said, _ended(command, said.fileno()) as process:
        try:
            code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        if code == 0:
            return
        said.seek(0)
        tail = "\n  ".join(said.read().decode(errors="replace").splitlines()[-15:])
    how = f"did not end within {timeout:g} s" if code is None else f"ended with exit code {code}"
    kind = UserError if code == UserError.exit_code else RunFailed
    raise kind(f"{' '.join(command[:3])} … {how}:\n  {tail}")


@contextmanager
def _ended(command: Sequence[str], out: int) -> Iterator[subprocess.Popen[bytes]]:
    """Lend a process that is ended with the block, and with us: who is told to end raises like any other error."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
    )
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield process
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process.poll() is None:
            process.terminate()  # mpirun then ends its ranks
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has left
        process.wait(PATIENCE_SECONDS)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _sample(folder: Path, ranks: int, number: int) -> Sample:
    run = read_run(folder)
    if not run.is_complete:
        problem = "has more steps than the timers can keep; take fewer with --set run.steps=…"
        raise ConfigurationError("run.steps", int(max(line.step[-1] for line in run.ranks)), problem)
    found = summarise(run)
    return Sample(
        ranks=ranks,
        round=number,
        seconds=found.seconds,
        path={phase.name: phase.path_seconds or 0.0 for phase in found.phases},
        mean={phase.name: phase.mean for phase in found.phases},
    )
