"""Programs that are started beside each other and surely end: each in its own session, its output in a log file."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from lockstream.bridge.errors import LockstreamError
from lockstream.kafka.broker.process import tied_command

PATIENCE_SECONDS = 5.0
LOOK_SECONDS = 0.05


class ChildFailed(LockstreamError):
    """A program ended with an error; the text shows the end of its log."""


class Child:
    """A running program.

    Parameters
    ----------
    name
        For people.
    command
        Program and arguments. The program is told to end (SIGTERM) when this process is gone.
    log
        File that gets all its output.
    environment
        Its environment.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name, self.log = name, log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                tied_command(command, Path.cwd()),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environment),
            )
        self._reading = log.open(encoding="utf-8", errors="replace")

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float) -> int | None:
        """Wait for its end; return its exit code, None if it still runs after `timeout` seconds."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        return self.exit_code

    def new_lines(self) -> Iterator[str]:
        """Yield the whole lines that it has printed since the last call."""
        while True:
            place = self._reading.tell()
            line = self._reading.readline()
            if not line.endswith("\n"):
                self._reading.seek(place)
                return
            yield line.rstrip()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, with all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_SECONDS)
        self._reading.close()

    def end(self) -> None:
        """End it: ask first, then insist, with all that it started."""
        if self.exit_code is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_SECONDS)
        self.kill()


class Children:
    """Programs that run beside each other; a context manager that leaves none of them behind."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs, self._environment = logs, environment
        self._children: list[Child] = []

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start one more."""
        self._children.append(Child(name, command, self._logs / f"{name}.log", self._environment))

    def lines_until_end(self) -> Iterator[tuple[str, str]]:
        """Yield ``(name, line)`` as they are printed, until all have ended well.

        Raises
        ------
        ChildFailed
            As soon as one ends otherwise.
        """
        running = list(self._children)
        while running:
            for child in list(running):
                code = child.exit_code  # looked at first: what it printed before its end is read below
                yield from ((child.name, line) for line in child.new_lines())
                if code is not None:
                    running.remove(child)
                if code:
                    tail = "\n  ".join(child.log.read_text(errors="replace").splitlines()[-15:])
                    raise ChildFailed(
                        f"{child.name} ended with exit code {code}; {child.log} ends with\n  {tail}"
                    )
            time.sleep(LOOK_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.end()
