"""What a program has done, line by line in a file that outlives it, however it ends."""

from pathlib import Path
from typing import Generic, TypeVar

import msgspec

Entry = TypeVar("Entry", bound=msgspec.Struct)


class Journal(Generic[Entry]):
    """Entries, one line of JSON each; a context manager.

    An entry whose writer was killed in the middle of it is no entry: it is taken away when the file is opened
    again.

    Parameters
    ----------
    path
        The file; it is made if it is not there.
    kind
        Of the entries.
    """

    def __init__(self, path: Path, kind: type[Entry]) -> None:
        path.touch()
        self.entries = read_journal(path, kind)
        whole = path.read_bytes().rfind(b"\n") + 1
        self._file = path.open("r+b", buffering=0)  # each entry is with the system before the next one begins
        self._file.truncate(whole)
        self._file.seek(whole)

    def write(self, entry: Entry) -> None:
        """Add one entry."""
        self._file.write(msgspec.json.encode(entry) + b"\n")
        self.entries.append(entry)

    def __enter__(self) -> "Journal[Entry]":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_journal(path: Path, kind: type[Entry]) -> list[Entry]:
    """Return the entries that are whole; none if there is no file."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [msgspec.json.decode(line, type=kind) for line in lines if line.endswith(b"\n")]
