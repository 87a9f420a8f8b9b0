"""A simulation under `mpirun` that is disturbed: its attempts, its processes, and what it counted."""

import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lockstream.cli import drill_processes as processes
from lockstream.cli.drill_bench import DrillFailed, wait_for
from lockstream.kafka.broker.process import ProcessIdentity
from lockstream.kafka.children import Child
from lockstream.mpi_jobs.launch import mpirun_command

SHAPE = (256, 512)  # a step of 1 MiB in two fields
SPACING = 2.5 / 256  # as in Pearson's paper
MAX_STALL = 1.0  # seconds
BUFFER_BYTES = 8 << 20  # small: an outage of a second fills it
START_SECONDS = 60.0
_PROGRESS = re.compile(r"^step (\d+) of \d+", re.MULTILINE)
_COUNTER = re.compile(r"^lockstream_(\w+)\{.*\} (\S+)$", re.MULTILINE)


class Counts(NamedTuple):
    """What the bridge counted in one attempt.

    Parameters
    ----------
    accepted, acknowledged, spilled, dropped
        Steps.
    longest_wait
        Of one step, in seconds.
    """

    accepted: int
    acknowledged: int
    spilled: int
    dropped: int
    longest_wait: float


@dataclass(slots=True)
class Attempt:
    """One start of the run.

    Parameters
    ----------
    child
        The launcher.
    ranks
        On how many.
    metrics
        Where the publisher counts.
    is_counted
        Whether the publisher lived to write its last word.
    """

    child: Child
    ranks: int
    metrics: Path
    is_counted: bool = True

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self.child.log.read_text(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """As a shell tells it: 128 and the signal's number for a launcher that was killed."""
        code = self.child.exit_code
        return code if code is None or code >= 0 else 128 - code

    def counts(self) -> Counts | None:
        """Return what was counted; None if nobody knows."""
        if not (self.is_counted and self.metrics.exists()):
            return None
        found = {name: float(value) for name, value in _COUNTER.findall(self.metrics.read_text())}
        names = ("accepted", "acknowledged", "spilled", "dropped")
        steps = {name: int(found[f"steps_{name}_total"]) for name in names}
        return Counts(**steps, longest_wait=found["longest_wait_seconds"])


class SimulatedRun:
    """A run of Gray-Scott.

    Parameters
    ----------
    folder
        Gets logs and counters.
    run
        Run id.
    every, frames
        Time steps between two published steps, and how many are published.
    environment
        Of its programs; holds the mark by which its processes are found.
    settings
        More of the configuration, ``table.key`` to value in TOML's notation.
    """

    def __init__(
        self,
        folder: Path,
        run: str,
        every: int,
        frames: int,
        environment: Mapping[str, str],
        settings: Mapping[str, object],
    ) -> None:
        self.run, self.folder, self.steps = run, folder, range(0, every * frames, every)
        self.attempts: list[Attempt] = []
        self._environment = environment
        self._config = folder / f"{run}.toml"
        self._config.write_text(_configuration(run, self.steps, folder, settings), encoding="utf-8")

    def start(self, ranks: int = 2, *, is_resumed: bool = False) -> None:
        """Start the next attempt."""
        name = f"{self.run}-{len(self.attempts)}"
        metrics = self.folder / f"{name}.prom"
        command = [*mpirun_command(ranks), sys.executable, "-m", "lockstream.cli", "simulate"]
        command += [str(self._config), "--set", f"stream.metrics={metrics}", *["--resume"] * is_resumed]
        child = Child("simulation", command, self.folder / f"{name}.log", self._environment)
        self.attempts.append(Attempt(child, ranks, metrics))

    def wait_for_tenth(self, tenth: int) -> None:
        """Wait until so many tenths of the run are done."""
        due = tenth * self.steps[-1] // 10
        attempt = self.attempts[-1]

        def is_there() -> bool:
            done = [int(step) for step in _PROGRESS.findall(attempt.said)]
            if attempt.exit_code is not None and not (done and done[-1] >= due):
                raise DrillFailed(f"the simulation ended before it was disturbed: {_tail(attempt)}")
            return bool(done) and done[-1] >= due

        wait_for(is_there, f"step {due} of {self.run}", START_SECONDS + 10 * len(self.steps))

    def wait_for_end(self, seconds: float) -> int:
        """Wait for the end of the launcher and of all that it started; return its exit code."""
        attempt = self.attempts[-1]
        wait_for(lambda: attempt.exit_code is not None, f"the end of {self.run}", seconds)
        mark = self._environment[processes.MARK]
        gone = lambda: not processes.ranks(mark) and processes.publisher(mark) is None  # noqa: E731
        wait_for(gone, f"the end of the publisher of {self.run}", seconds)
        attempt.child.end()
        return attempt.exit_code or 0

    def kill_rank(self, number: int) -> None:
        """SIGKILL a rank."""
        self._rank(number).signal(signal.SIGKILL)

    def kill_launcher(self) -> None:
        """SIGKILL mpirun alone."""
        self.attempts[-1].child.signal(signal.SIGKILL)

    def kill_publisher(self) -> None:
        """SIGKILL the process that talks to Kafka."""
        found = processes.publisher(self._environment[processes.MARK])
        if found is None:
            raise DrillFailed(f"{self.run} has no publisher")
        self.attempts[-1].is_counted = False
        found.signal(signal.SIGKILL)

    def counts(self) -> list[Counts | None]:
        """Return what each attempt counted."""
        return [attempt.counts() for attempt in self.attempts]

    @property
    def counted(self) -> Counts | None:
        """All attempts together; None if nobody knows of one."""
        known = [count for count in self.counts() if count is not None]
        if len(known) < len(self.attempts):
            return None
        return Counts(
            accepted=sum(count.accepted for count in known),
            acknowledged=sum(count.acknowledged for count in known),
            spilled=sum(count.spilled for count in known),
            dropped=sum(count.dropped for count in known),
            longest_wait=max(count.longest_wait for count in known),
        )

    @property
    def ranks(self) -> tuple[int, ...]:
        """On how many ranks each attempt ran."""
        return tuple(attempt.ranks for attempt in self.attempts)

    @property
    def exit_codes(self) -> tuple[int | None, ...]:
        """Of all attempts."""
        return tuple(attempt.exit_code for attempt in self.attempts)

    def last_words(self) -> str:
        """Return what the last attempt printed at its end."""
        return _tail(self.attempts[-1])

    def _rank(self, number: int) -> ProcessIdentity:
        found = processes.ranks(self._environment[processes.MARK])
        if number not in found:
            raise DrillFailed(f"{self.run} has no rank {number}, only {sorted(found)}")
        return found[number]


def _configuration(run: str, steps: Sequence[int], folder: Path, settings: Mapping[str, object]) -> str:
    tables: dict[str, dict[str, object]] = {
        "run": {"id": f'"{run}"', "model": '"gray-scott"', "steps": steps[-1]},
        "domain": {"shape": list(SHAPE), "spacing": [SPACING] * 2},
        "model": {"pattern": '"theta"'},
        "stream": {
            "every": steps[1],
            "max_stall": MAX_STALL,
            "buffer_bytes": BUFFER_BYTES,
            "spool": f"'{folder / 'spool'}'",
        },
    }
    for name, value in settings.items():
        table, _, key = name.partition(".")
        tables.setdefault(table, {})[key] = value
    lines = []
    for table, content in tables.items():
        lines += [f"[{table}]", *(f"{key} = {value}" for key, value in content.items()), ""]
    return "\n".join(lines)


def _tail(attempt: Attempt) -> str:
    return f"exit code {attempt.exit_code}; {attempt.child.log} ends with: {attempt.said[-600:]}"
