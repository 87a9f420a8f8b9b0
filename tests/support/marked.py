"""Finding what a program has started and left behind: all that inherits a mark in the environment."""

import os
from pathlib import Path


def processes(name: str, mark: str, folder: Path) -> dict[int, str]:
    """Command lines, by process id, of what has ``name=mark`` in its environment, or works in the folder."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = os.readlink(process / "cwd")
            marked = f"{name}={mark}".encode() in (process / "environ").read_bytes()
        except OSError:
            continue  # it has just ended, or is somebody else's
        if words and (marked or place.startswith(str(folder)) or str(folder) in words):
            found[int(process.name)] = words
    return found
