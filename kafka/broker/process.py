"""Processes that are known by more than their pid, which the system gives to others after their end."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PAUSE = 0.02  # s between two looks at a process


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """One process of one machine since one boot.

    Parameters
    ----------
    pid
        The process id.
    started
        When it was started, in clock ticks since boot (field 22 of proc(5) stat).
    boot
        The kernel's random id of this boot.
    """

    pid: int
    started: int
    boot: str

    def alive(self) -> bool:
        """Tell whether this very process runs; a zombie does not."""
        stat = _stat(self.pid)
        return stat == (self.started, True) and self.boot == boot_id()

    def wait_gone(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the end of the process; tell whether it has ended."""
        deadline = time.monotonic() + timeout
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        with suppress(ChildProcessError):  # reap it if it was ours; its last threads may take a moment
            os.waitpid(self.pid, 0)
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process is still there."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def identify(pid: int) -> ProcessIdentity:
    """Return the identity of the process that has this pid now.

    Raises
    ------
    ProcessLookupError
        There is none.
    """
    stat = _stat(pid)
    if stat is None:
        raise ProcessLookupError(f"no process has the pid {pid}")
    return ProcessIdentity(pid=pid, started=stat[0], boot=boot_id())


def boot_id() -> str:
    """Return the random id that the kernel took at boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def spawn_detached(
    command: Sequence[str], *, folder: Path, output: Path, env: Mapping[str, str]
) -> ProcessIdentity:
    """Start a program that outlives this process; return its identity.

    It runs in `folder` and in a session of its own; what it prints goes to the file `output`.
    """
    return _spawn(0, command, folder, output, env)


def spawn_tied(
    command: Sequence[str], *, folder: Path, output: Path, env: Mapping[str, str]
) -> ProcessIdentity:
    """Start a program like `spawn_detached`, but one that is told to end (SIGTERM) when this process ends.

    The kernel ties it to the calling *thread*: call this from one that lives as long as the program shall.
    """
    return _spawn(os.getpid(), command, folder, output, env)


def tied_command(command: Sequence[str], folder: Path) -> list[str]:
    """Return what to start in place of `command`, so that it is told to end when this process ends."""
    return _argv(os.getpid(), command, folder)


def _argv(parent: int, command: Sequence[str], folder: Path) -> list[str]:
    script = Path(__file__).with_name("spawned.py")
    return [sys.executable, "-I", "-S", str(script), str(parent), str(folder), *command]


def _spawn(
    parent: int, command: Sequence[str], folder: Path, output: Path, env: Mapping[str, str]
) -> ProcessIdentity:
    argv = _argv(parent, command, folder)
    files = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    return identify(os.posix_spawn(sys.executable, argv, env, file_actions=files))


def _stat(pid: int) -> tuple[int, bool] | None:
    """Return (start time, whether it runs) from /proc, or None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the program's name before it may hold anything
    return int(fields[19]), fields[0] not in "ZX"
