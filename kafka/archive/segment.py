"""A segment: an immutable HDF5 file that holds consecutive steps and accounts for a range of offsets.

It is written under a temporary name and gets its own only when it is complete, read back and on the disk.
Whatever happens before that, Kafka still has the records and they are read again.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import h5py
import numpy as np

from lockstream.bridge.messages import DTYPES, Field, Manifest, RunStarted, Steered, Tile, TileRecord
from lockstream.bridge.tiles import tile_counts, tile_offsets
from lockstream.bridge.wire import elements
from lockstream.kafka.archive import variables
from lockstream.kafka.archive.account import GROUP, Account, Position, Source, read_account, write_account
from lockstream.kafka.archive.layout import UNSEALED, publish_new, segment_path
from lockstream.kafka.archive.ledger import Entry, in_order
from lockstream.kafka.archive.steering import write_steering
from lockstream.kafka.archive.writeback import Writeback
from lockstream.kafka.errors import ArchiveDamaged
from lockstream.kafka.events import Step

NO_FILTERS = 0xFFFF  # a chunk's filter mask: every filter of the dataset was left out


class SegmentWriter:
    """Writes one segment.

    Parameters
    ----------
    run_folder
        The run's folder in the archive.
    source
        The log that is read.
    partition, first_offset
        Where the segment begins.
    started
        The attempt whose steps it holds; None before any ``run-started``.
    """

    def __init__(
        self, run_folder: Path, source: Source, partition: int, first_offset: int, started: RunStarted | None
    ) -> None:
        self._source, self._partition, self._first_offset = source, partition, first_offset
        self.started = started
        self._final = segment_path(run_folder, partition, first_offset)
        self._temporary = self._final.with_name(self._final.name + UNSEALED)
        self._temporary.parent.mkdir(exist_ok=True)  # not its parents: a folder that is gone stays gone
        self._file = h5py.File(self._temporary, "w")
        self._writeback = Writeback(self._temporary)
        self._manifests: list[Manifest] = []
        self.opened = monotonic()
        self.nbytes = 0
        self._variables: dict[str, h5py.Dataset] = {}
        if started:
            self._variables = {f.name: create_field(self._file, f, started) for f in started.fields}

    def add(self, step: Step) -> None:
        """Write a verified step; its tiles become chunks as they are."""
        row = len(self._manifests)
        for variable in self._variables.values():
            variable.resize(row + 1, axis=0)
        for tile in step.tiles:
            write_tile(self._variables[tile.field], row, tile)
        self.nbytes += step.started.step_bytes
        self._writeback.wrote(step.started.step_bytes)
        self._manifests.append(step.manifest)

    def digest_of(self, step: int) -> str | None:
        """Digest of a step in this segment, None if it is not in it."""
        return next((m.digest for m in self._manifests if m.step == step), None)

    def tiles_of(self, step: int) -> frozenset[TileRecord]:
        """Tiles of a step in this segment; none if it is not in it."""
        return frozenset(tile for m in self._manifests if m.step == step for tile in m.tiles)

    def seal(self, position: Position, ledger: Iterable[Entry], steered: Sequence[Steered] = ()) -> Path:
        """Finish the file, check it, and give it its name.

        Parameters
        ----------
        position
            How far the partition is accounted for with this segment.
        ledger
            What became of each of its offsets.
        steered
            The commands among them.

        Returns
        -------
        Path
            Of the sealed segment.

        Raises
        ------
        ArchiveDamaged
            If what is read back is not what was written.
        """
        attempts = (self.started,) if self.started else ()
        account = Account(source=self._source, positions=(position,), attempts=attempts, steered=len(steered))
        write_account(self._file, account, in_order(ledger))
        write_steering(self._file, steered)
        if self.started:
            write_scalars(self._file, self.started, self._manifests)
        self._file.close()
        self._writeback.finish()
        _check_written(self._temporary, account, len(self._manifests))
        publish_new(self._temporary, self._final)
        return self._final

    def discard(self) -> None:
        """Throw the unfinished file away; on a full or vanished disk as far as that goes."""
        self._writeback.give_up()
        with suppress(OSError, RuntimeError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)


def create_field(file: h5py.File, field: Field, started: RunStarted, steps: int = 0) -> h5py.Dataset:
    """Create a field's variable, (step, axes…), with one chunk per tile and step."""
    filters = {"shuffle": True, "compression": "gzip"} if started.codec == "deflate" else {}
    return file.create_dataset(
        field.name,
        shape=(steps, *field.shape),
        maxshape=(None, *field.shape),
        chunks=(1, *started.tiles[field.name]),
        dtype=DTYPES[field.dtype],
        **filters,
    )


def write_tile(variable: h5py.Dataset, row: int, tile: Tile) -> None:
    """Store a tile as a chunk, as it came, compressed or not.

    A tile that is cut off at the far edge is padded, because HDF5 stores whole chunks, and is then stored
    uncompressed.
    """
    payload: Any = tile.payload
    is_plain = tile.codec == "none"
    if tile.extent != variable.chunks[1:]:
        payload = np.zeros(variable.chunks[1:], variable.dtype)
        payload[tuple(map(slice, tile.extent))] = elements(tile)
        is_plain = True
    variable.id.write_direct_chunk((row, *tile.offset), payload, NO_FILTERS if is_plain else 0)


def write_scalars(file: h5py.File, started: RunStarted, manifests: list[Manifest]) -> None:
    """Write all that is small: coordinates, time, diagnostics, digests and checksums."""
    variables.describe_run(file, started)
    variables.create_axes(file, started)
    variables.create_steps(file, [m.step for m in manifests])
    file.create_dataset("time", data=np.array([m.time for m in manifests], variables.FLOAT))
    variables.describe_time(file["time"], started)
    for field in started.fields:
        variables.describe_field(file[field.name], field, started)
    for name in sorted({name for m in manifests for name in m.diagnostics}):
        values = [m.diagnostics.get(name) for m in manifests]
        data = np.array([np.nan if value is None else value for value in values], variables.FLOAT)
        variables.describe_diagnostic(file.create_dataset(name, data=data))
    group = file.require_group(GROUP)
    group.create_dataset("attempt", data=np.array([m.attempt for m in manifests], np.int32))
    group.create_dataset("digest", data=np.array([m.digest for m in manifests], "S64"))
    for field in started.fields:
        group.create_dataset(f"crc32c/{field.name}", data=_checksums(field, started, manifests))


def _checksums(field: Field, started: RunStarted, manifests: list[Manifest]) -> np.ndarray[Any, Any]:
    """Checksums of a field's tiles, (step, tile), uint32, the tiles in C order."""
    order = {offset: n for n, (offset, _) in enumerate(tile_offsets(field.shape, started.tiles[field.name]))}
    sums = np.zeros((len(manifests), len(order)), np.uint32)
    for row, manifest in enumerate(manifests):
        for record in manifest.tiles:
            if record.field == field.name:
                sums[row, order[record.offset]] = int(record.crc32c, 16)
    return sums


def _check_written(path: Path, account: Account, steps: int) -> None:
    """Read back what says what the file is; `verify` re-reads the elements."""
    with h5py.File(path, "r") as file:
        if read_account(file) != account:
            raise ArchiveDamaged(f"{path}: what was read back is not what was written")
        for started in account.attempts:
            for field in started.fields:
                chunks = math.prod(tile_counts(field.shape, started.tiles[field.name])) * steps
                if file[field.name].shape[0] != steps or file[field.name].id.get_num_chunks() != chunks:
                    raise ArchiveDamaged(
                        f"{path}: {field.name} does not have its {steps} steps of {chunks} chunks"
                    )
