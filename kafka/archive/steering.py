"""The commands that a run obeyed or refused, as an archive keeps them: a small table beside the steps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from lockstream.bridge.messages import Steered
from lockstream.bridge.wire import crc32c
from lockstream.kafka.archive.account import GROUP, UNREADABLE
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.recovery import merged_file, open_sealed
from lockstream.kafka.errors import ArchiveDamaged

TABLE = f"{GROUP}/steering"
_TEXTS = ("id", "command", "who", "sent", "key", "refused")
_VALUES = ("old", "new")  # of any type: as JSON
_NUMBERS: Mapping[str, np.dtype[Any]] = {"attempt": np.dtype("<i4"), "step": np.dtype("<i8")}
_CHECKSUM = "crc32c"


def write_steering(file: h5py.File, commands: Sequence[Steered]) -> None:
    """Write the table; none if there are no commands."""
    if not commands:
        return
    group = file.require_group(TABLE)
    for name, dtype in _NUMBERS.items():
        group.create_dataset(name, data=np.array([getattr(c, name) for c in commands], dtype))
    for name in (*_TEXTS, *_VALUES):
        texts: list[Any] = [getattr(c, name) if name in _TEXTS else _json(getattr(c, name)) for c in commands]
        group.create_dataset(name, data=np.array(texts, dtype=object), dtype=h5py.string_dtype())
    group.create_dataset(_CHECKSUM, data=np.array([checksum(c) for c in commands], np.uint32))


def read_steering(file: h5py.File, run: str) -> tuple[Steered, ...]:
    """Read the table, in the order in which the commands were carried out.

    Raises
    ------
    ArchiveDamaged
        If it is there and cannot be read.
    """
    try:
        if TABLE not in file:
            return ()
        group = file[TABLE]
        columns = {name: group[name][()].tolist() for name in _NUMBERS}
        columns |= {name: group[name].asstr()[()].tolist() for name in _TEXTS}
        columns |= {name: list(map(msgspec.json.decode, group[name].asstr()[()])) for name in _VALUES}
        rows = zip(*columns.values(), strict=True)
        return tuple(
            msgspec.convert({"kind": "steered", "run": run, **dict(zip(columns, row, strict=True))}, Steered)
            for row in rows
        )
    except (*UNREADABLE, msgspec.MsgspecError) as error:
        raise ArchiveDamaged(f"{file.filename}: its table of commands cannot be read ({error})") from None


def steering_faults(file: h5py.File, commands: Sequence[Steered], expected: int) -> Iterator[str]:
    """Say where a table is not what was written.

    Parameters
    ----------
    file
        That holds it.
    commands
        As `read_steering` read them.
    expected
        How many there must be.
    """
    if len(commands) != expected:
        yield f"{len(commands)} commands are in the file, {expected} were written"
    sums = file[TABLE][_CHECKSUM][()].tolist() if commands else []
    for command, stored in zip(commands, sums, strict=True):
        if checksum(command) != stored:
            yield f"command {command.id} is not what was written: its checksum differs"


def each_once(commands: Iterable[Steered]) -> tuple[Steered, ...]:
    """Leave out what other partitions said too; by attempt, otherwise in the order given."""
    found: dict[tuple[int, str], Steered] = {}
    for command in commands:
        found.setdefault((command.attempt, command.id), command)
    return tuple(sorted(found.values(), key=lambda command: command.attempt))


def checksum(command: Steered) -> int:
    """CRC-32C of all that the command says."""
    said = [getattr(command, name) for name in (*_NUMBERS, *_TEXTS, *_VALUES)]
    return int(crc32c(msgspec.json.encode(said)), 16)


class KnownCommands:
    """What one partition's archive has of commands, so that one that comes again is known.

    Sealed files are read when the first command comes, not before: most runs are never steered.

    Parameters
    ----------
    run_folder, partition, run
        Where to look.
    """

    def __init__(self, run_folder: Path, partition: int, run: str) -> None:
        self._run_folder, self._partition, self._run = run_folder, partition, run
        self._sums: dict[tuple[int, str], int] | None = None

    def learn(self, command: Steered) -> int | None:
        """Return the checksum of the command of that id, if there was one; otherwise remember this one."""
        if self._sums is None:
            self._sums = {(c.attempt, c.id): checksum(c) for c in self._sealed()}
        key, own = (command.attempt, command.id), checksum(command)
        known = self._sums.get(key)
        self._sums.setdefault(key, own)
        return known

    def _sealed(self) -> Iterator[Steered]:
        for path in (merged_file(self._run_folder), *segment_paths(self._run_folder, self._partition)):
            if path is not None:
                with open_sealed(path) as file:
                    yield from read_steering(file, self._run)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
