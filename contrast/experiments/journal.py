"""What a participant notes of its work, so that it is known however it ends: a file, one number and time a line."""

import time
from pathlib import Path
from typing import IO


def note(journal: IO[str], number: int) -> None:
    """Note that the work of that number is done, now; it is in the file before this returns."""
    journal.write(f"{number} {time.monotonic()!r}\n")
    journal.flush()


def noted(path: Path) -> list[tuple[int, float]]:
    """Return numbers and times (s of the machine's clock) of all notes; a torn last line does not count."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text(encoding="ascii").rpartition("\n")
    lines = (line.split() for line in whole.splitlines())
    return [(int(number), float(at)) for number, at in lines]
