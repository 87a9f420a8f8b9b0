"""What the sealed files of a run say: how far they reach, and which steps they hold."""

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import h5py

from lockstream.bridge.messages import RunStarted, TileRecord
from lockstream.bridge.tiles import tile_offsets
from lockstream.kafka.archive.account import (
    GROUP,
    UNREADABLE,
    Account,
    Position,
    Source,
    read_account,
    read_ledger,
)
from lockstream.kafka.archive.layout import RUN_FILE, segment_paths
from lockstream.kafka.archive.ledger import Outcome
from lockstream.kafka.errors import ArchiveDamaged, ArchiveRefused


def open_sealed(path: Path) -> h5py.File:
    """Open a sealed file for reading.

    Raises
    ------
    ArchiveDamaged
        If it is not a readable HDF5 file.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ArchiveDamaged(f"{path}: cannot be read as HDF5 ({error})") from error


def account_of(path: Path) -> Account:
    """Read a sealed file's account of itself.

    Raises
    ------
    ArchiveDamaged
        If it cannot be read.
    """
    with open_sealed(path) as file:
        return read_account(file)


def merged_file(run_folder: Path) -> Path | None:
    """``run.h5`` if it holds the steps itself; None if it only links to segments, or is not there."""
    path = run_folder / RUN_FILE
    if not path.exists():
        return None
    with open_sealed(path) as file:
        try:
            return path if f"{GROUP}/account" in file else None
        except UNREADABLE as error:
            raise ArchiveDamaged(f"{path}: cannot be read as HDF5 ({error})") from None


def last_position(run_folder: Path, source: Source, partition: int) -> Position:
    """How far a partition is accounted for; only the last sealed files are opened.

    Raises
    ------
    ArchiveRefused
        If they were made from another log than `source`.
    ArchiveDamaged
        If they cannot be read.
    """
    reached = Position(partition=partition, first_offset=0, next_offset=0)
    for path in filter(None, (merged_file(run_folder), *segment_paths(run_folder, partition)[-1:])):
        account = account_of(path)
        _check_source(path, account.source, source)
        for position in account.positions:
            if position.partition == partition and position.next_offset > reached.next_offset:
                reached = position
    return reached


def sealed_digest(run_folder: Path, partition: int, attempt: int, step: int) -> str | None:
    """Digest of a step that was archived earlier, None if there is none; few files are opened to find it."""
    for path in _from_step_on(run_folder, partition, attempt, step):
        with open_sealed(path) as file:
            if "step" not in file:
                continue
            found = (file["step"][()] == step) & (file[GROUP]["attempt"][()] == attempt)
            if found.any():
                return bytes(file[GROUP]["digest"][int(found.argmax())]).decode()
    return None


def sealed_tiles(run_folder: Path, partition: int, started: RunStarted, step: int) -> frozenset[TileRecord]:
    """Tiles of a step that was archived earlier, none if it was not; few files are opened to find it."""
    for path in _from_step_on(run_folder, partition, started.attempt, step):
        with open_sealed(path) as file:
            if "step" not in file:
                continue
            found = (file["step"][()] == step) & (file[GROUP]["attempt"][()] == started.attempt)
            if found.any():
                sums = {f.name: file[GROUP]["crc32c"][f.name][int(found.argmax())] for f in started.fields}
                return frozenset(
                    TileRecord(field.name, offset, extent, f"{crc:08x}")
                    for field in started.fields
                    for (offset, extent), crc in zip(
                        tile_offsets(field.shape, started.tiles[field.name]),
                        sums[field.name].tolist(),
                        strict=False,
                    )
                )
    return frozenset()


def sealed_gap(run_folder: Path, partition: int, attempt: int, step: int) -> str | None:
    """Why a step was dropped, if the ledger says so already, None if not."""
    for path in _from_step_on(run_folder, partition, attempt, step):
        with open_sealed(path) as file:
            for entry in read_ledger(file):
                if (entry.outcome, entry.attempt, entry.step) == (Outcome.CONTROL, attempt, step):
                    return entry.reason
    return None


def _from_step_on(run_folder: Path, partition: int, attempt: int, step: int) -> Iterator[Path]:
    """Sealed files that can have a step: first the one where it belongs, then those where it may have come late."""
    paths = segment_paths(run_folder, partition)
    place = bisect_left(paths, (attempt, step), key=_last_of)  # which only grows along a partition
    yield from paths[place : place + 1]
    if merged := merged_file(run_folder):
        yield merged
    yield from paths[place + 1 :]


def _last_of(path: Path) -> tuple[int, int]:
    """Attempt and step that a segment ends with."""
    position = account_of(path).positions[0]
    return (position.started.attempt if position.started else -1, position.last_step)


def _check_source(path: Path, archived: Source, source: Source) -> None:
    if archived.cluster_id != source.cluster_id:
        raise ArchiveRefused(
            f"{path} was archived from Kafka cluster {archived.cluster_id}, this is cluster {source.cluster_id}: "
            "offsets mean something else here; archive into another folder"
        )
    if archived != source:
        raise ArchiveRefused(
            f"{path} was archived from topic {archived.topic} with id {archived.topic_id}, this one has id "
            f"{source.topic_id}: it was deleted and made again; archive it into another folder"
        )
