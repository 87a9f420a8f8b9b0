"""Independent tasks: a task is a time to work, here to wait, so that no worker takes another one's processor."""

import struct
import time
from pathlib import Path
from typing import IO

from lockstream.bridge.errors import WireError
from lockstream.contrast.experiments.journal import note

LONGEST_SECONDS = 60.0
_TASK = struct.Struct(">qd")


def task_message(number: int, seconds: float) -> bytes:
    """Return a task as a message; one with a negative number asks only whether somebody is there."""
    return _TASK.pack(number, seconds)


def task_of(value: bytes | None) -> tuple[int, float]:
    """Return number and time of a task.

    Raises
    ------
    WireError
        It is none.
    """
    if value is None or len(value) != _TASK.size:
        raise WireError(f"a message of {len(value or b'')} bytes is no task: it was not sent by this lab")
    number, seconds = _TASK.unpack(value)
    if not 0 <= seconds <= LONGEST_SECONDS:
        raise WireError(
            f"a task of {seconds} s is none of this lab's: they take 0 to {LONGEST_SECONDS:.0f} s"
        )
    return number, seconds


def work(number: int, seconds: float, journal: IO[str]) -> None:
    """Do a task, and note it."""
    time.sleep(seconds)
    note(journal, number)


def open_journal(folder: str, name: str) -> IO[str]:
    """Open the journal of one worker."""
    return (Path(folder) / name).open("w", encoding="ascii")
