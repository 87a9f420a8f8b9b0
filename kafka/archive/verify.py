"""The proof that nothing is lost, duplicated or torn, from the files alone.

Every chunk is read again and its checksum computed; checksums, step, time and diagnostics must give the
digest of the manifest that closed the step; ledgers must account for each offset exactly once.
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from lockstream.bridge.codecs import inflate
from lockstream.bridge.messages import Manifest, RunStarted, TileRecord
from lockstream.bridge.tiles import tile_offsets
from lockstream.bridge.wire import crc32c
from lockstream.kafka.archive.account import GROUP, UNREADABLE, read_ledger
from lockstream.kafka.archive.counting import archived_in, gaps_in, missing_before, missing_steps
from lockstream.kafka.archive.layout import RUN_FILE, segment_path
from lockstream.kafka.archive.ledger import Entry, Outcome, breaks
from lockstream.kafka.archive.recovery import open_sealed
from lockstream.kafka.archive.steering import read_steering, steering_faults
from lockstream.kafka.archive.view import RunView, SealedFile, ledger_of, read_sealed, view_run
from lockstream.kafka.errors import ArchiveDamaged, NotAnArchive


class FaultFound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is not as it must be.

    Parameters
    ----------
    file, run
        Where.
    what
        A sentence for people.
    attempt, step, field, partition, offsets
        Where inside, as far as that is known.
    """

    file: str
    run: str
    what: str
    attempt: int | None = None
    step: int | None = None
    field: str | None = None
    partition: int | None = None
    offsets: tuple[int, int] | None = None


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was verified of one run.

    Parameters
    ----------
    run
        Which.
    status
        What ``run-ended`` said; empty while it has not come.
    steps, bytes
        How many steps were verified, and raw bytes of them.
    offsets
        How many offsets of the log ended in which class.
    gaps
        Steps that the producer said it dropped, those left out that a newer attempt made good.
    steered
        How many commands are kept.
    faults
        What is not as it must be; empty if all is well.
    """

    run: str
    status: str = ""
    steps: int = 0
    bytes: int = 0
    offsets: dict[str, int] = {}
    gaps: tuple[int, ...] = ()
    steered: int = 0
    faults: tuple[FaultFound, ...] = ()


def verify_run(run_folder: Path) -> Verified:
    """Verify one run's folder, whether merged or in segments."""
    run = run_folder.name
    try:
        view = view_run(run_folder)
    except (ArchiveDamaged, NotAnArchive) as error:
        return Verified(run=run, faults=(FaultFound(file=str(run_folder), run=run, what=str(error)),))
    faults = [fault for file in view.files for fault in verify_file(file)]
    try:
        entries = ledger_of(view)
    except ArchiveDamaged:
        entries = []  # verify_file has said so
    faults += _check_view(run_folder, view, entries)
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry.outcome.name.lower()] += entry.stop - entry.first
    return Verified(
        run=run,
        status=view.ended.status if view.ended else "",
        steps=len(view.steps),
        bytes=len(view.steps) * (view.newest.step_bytes if view.newest else 0),
        offsets={outcome.name.lower(): counts[outcome.name.lower()] for outcome in Outcome},
        gaps=tuple(sorted({step for _, step in gaps_in(entries)})),
        steered=len(view.steered),
        faults=tuple(faults),
    )


def verify_file(sealed: SealedFile) -> Iterator[FaultFound]:
    """Verify one sealed file: its ledger against its steps, and every chunk against its checksum."""
    run = sealed.account.source.run
    with open_sealed(sealed.path) as file:
        try:
            yield from _check_ledger(sealed, read_ledger(file))
            for sentence in steering_faults(file, sealed.steered, sealed.account.steered):
                yield FaultFound(file=str(sealed.path), run=run, what=sentence)
            for started in sealed.account.attempts:
                yield from _check_steps(sealed, file, started)
        except (ArchiveDamaged, *UNREADABLE) as error:
            yield FaultFound(file=str(sealed.path), run=run, what=f"cannot be read to its end: {error}")


def _check_ledger(sealed: SealedFile, entries: list[Entry]) -> Iterator[FaultFound]:
    first = {p.partition: p.first_offset for p in sealed.account.positions}
    stop = {p.partition: p.next_offset for p in sealed.account.positions}
    about: dict[str, Any] = {"file": str(sealed.path), "run": sealed.account.source.run}
    for sentence in breaks(entries, first, stop):
        yield FaultFound(**about, what=sentence)
    said = {(e.attempt, e.step) for e in entries if e.outcome is Outcome.ARCHIVED}
    held = Counter(zip(sealed.attempts.tolist(), sealed.steps.tolist(), strict=True))
    for attempt, step in sorted(said ^ set(held)):
        what = (
            "in the file, not in its ledger" if (attempt, step) in held else "in the ledger, not in the file"
        )
        yield FaultFound(**about, attempt=attempt, step=step, what=f"step {step} is {what}")
    for (attempt, step), times in held.items():
        if times > 1:
            yield FaultFound(**about, attempt=attempt, step=step, what=f"step {step} is there {times} times")


def _check_steps(sealed: SealedFile, file: h5py.File, started: RunStarted) -> Iterator[FaultFound]:
    """Verify the steps of one attempt in one file."""
    rows = np.flatnonzero(sealed.attempts == started.attempt).tolist()
    grids = {f.name: list(tile_offsets(f.shape, started.tiles[f.name])) for f in started.fields}
    stored = {name: file[f"{GROUP}/crc32c/{name}"][()] for name in grids}
    digests, times = file[f"{GROUP}/digest"][()], file["time"][()]
    scalars = {name: file[name][()] for name in sealed.diagnostics}
    for row in rows:
        step = int(sealed.steps[row])
        about: dict[str, Any] = {
            "file": str(sealed.path),
            "run": started.run,
            "attempt": started.attempt,
            "step": step,
        }
        records = []
        for field in started.fields:
            found = _checksums_of_chunks(file[field.name], row, grids[field.name])
            for number, ((offset, extent), crc) in enumerate(zip(grids[field.name], found, strict=True)):
                records.append(TileRecord(field.name, offset, extent, crc))
                if int(crc, 16) != stored[field.name][row][number]:
                    what = f"tile {list(offset)} has crc32c {crc}, stored is {stored[field.name][row][number]:08x}"
                    yield FaultFound(**about, field=field.name, what=what)
        finite = {name: float(values[row]) for name, values in scalars.items() if math.isfinite(values[row])}
        again = Manifest(
            run=started.run, step=step, time=float(times[row]), tiles=tuple(records), diagnostics=dict(finite)
        )
        if again.digest != digests[row].decode():
            yield FaultFound(**about, what=f"step {step} is not what its manifest said: the digests differ")


def _checksums_of_chunks(
    variable: h5py.Dataset, row: int, grid: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> Iterator[str]:
    """Checksums of the elements of one step's chunks, in the grid's order."""
    whole, itemsize = variable.chunks[1:], variable.dtype.itemsize
    size = math.prod(whole) * itemsize
    is_compressed = variable.compression is not None
    for offset, extent in grid:
        mask, raw = variable.id.read_direct_chunk((row, *offset))
        if is_compressed and not mask:
            raw = inflate(raw, itemsize, size)
        if extent != whole:
            chunk = np.frombuffer(raw, variable.dtype).reshape(whole)
            raw = np.ascontiguousarray(chunk[tuple(map(slice, extent))])
        yield crc32c(raw)


def _check_view(run_folder: Path, view: RunView, entries: list[Entry]) -> Iterator[FaultFound]:
    """Verify what only all files together can show."""
    about: dict[str, Any] = {"file": str(run_folder), "run": view.source.run}
    stop = view.next_offsets
    for sentence in breaks(entries, dict.fromkeys(stop, 0), stop):
        yield FaultFound(**about, what=sentence)
    twice = view.steps[1:][view.steps[1:] == view.steps[:-1]]
    for step in twice.tolist():
        yield FaultFound(**about, step=step, what=f"step {step} is archived twice")
    for file in view.files:
        if file.account.source != view.source:
            yield FaultFound(
                **{**about, "file": str(file.path)}, what="was archived from another topic or cluster"
            )
        first = file.account.positions[0]
        name = segment_path(run_folder, first.partition, first.first_offset).name
        if file.path.name not in (RUN_FILE, name):
            what = f"bears another segment's name, its own is {name}: run.h5 links to it by name"
            yield FaultFound(**{**about, "file": str(file.path)}, what=what)
    for attempt, step in sorted(gaps_in(entries) & archived_in(view)):
        what = f"step {step} is archived, and a gap says that it was dropped"
        yield FaultFound(**about, attempt=attempt, step=step, what=what)
    for sentence in (missing_steps(view, entries), missing_before(view, entries)):
        if sentence:
            yield FaultFound(**about, what=sentence)
    yield from _check_run_file(run_folder / RUN_FILE, view)


def _check_run_file(path: Path, view: RunView) -> Iterator[FaultFound]:
    """``run.h5`` must show steps of the view and nothing else; links may lag behind the newest segments."""
    about: dict[str, Any] = {"file": str(path), "run": view.source.run}
    if not path.exists():
        yield FaultFound(**about, what="is missing; 'lockstream archive follow' or 'merge' makes it again")
        return
    try:
        with open_sealed(path) as file:
            shown = np.atleast_1d(file["step"][()]) if "step" in file else np.empty(0, np.int64)
            is_of_newest = view.newest and file.attrs.get("started") == view.newest.started
            says_ended = is_of_newest and "status" in file.attrs
            shows_commands = set(read_steering(file, view.source.run)) <= set(view.steered)
            linked = {s.file_name for name in file for s in _virtual_sources(file[name])}
    except (ArchiveDamaged, *UNREADABLE) as error:
        yield FaultFound(**about, what=f"cannot be read: {error}")
        return
    for name in sorted(linked):
        if not (path.parent / name).exists():
            yield FaultFound(**about, what=f"links to {name}, which is not there")
    if not np.isin(shown, view.steps).all() or (np.diff(shown) <= 0).any():
        yield FaultFound(**about, what="shows steps that the segments do not have, or not in order")
    if not shows_commands:
        yield FaultFound(**about, what="shows commands that the segments do not have")
    if says_ended and not view.ended:
        yield FaultFound(
            **about, what="says that the run has ended, the segments do not: the last is missing"
        )
    if view.ended and len(shown) != len(view.steps):
        yield FaultFound(
            **about, what=f"shows {len(shown)} of {len(view.steps)} steps of a run that has ended"
        )


def _virtual_sources(item: Any) -> list[Any]:
    return item.virtual_sources() if isinstance(item, h5py.Dataset) and item.is_virtual else []


def verify_merged(path: Path) -> list[FaultFound]:
    """Verify a merged file that is not yet in its place."""
    return list(verify_file(read_sealed(path)))
