"""``run.h5``, what a person opens: links to the segments while the run goes on, one plain file afterwards.

Either way it is built under another name and put in place in one move, so that a reader finds the old one
or the new one, never nothing and never half of something.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lockstream.bridge.messages import DTYPES, RunStarted
from lockstream.bridge.tiles import tile_offsets
from lockstream.kafka.archive import variables
from lockstream.kafka.archive.account import GROUP, Account, Position, write_account
from lockstream.kafka.archive.layout import RUN_FILE, UNSEALED, replace, segment_paths, sync
from lockstream.kafka.archive.ledger import in_order
from lockstream.kafka.archive.recovery import open_sealed
from lockstream.kafka.archive.segment import create_field
from lockstream.kafka.archive.steering import write_steering
from lockstream.kafka.archive.view import RunView, ledger_of


def write_links(run_folder: Path, view: RunView) -> Path:
    """Make ``run.h5`` a set of virtual datasets over the sealed files, and put it in place.

    A merged file is left alone: it holds steps itself, and links would replace it by links to itself.

    Returns
    -------
    Path
        Of ``run.h5``.
    """
    final, temporary = _paths(run_folder)
    if any(sealed.path == final for sealed in view.files):
        return final
    started = view.newest
    with h5py.File(temporary, "w", libver=("v110", "v110")) as file:
        file.attrs["run"] = view.source.run
        write_steering(file, view.steered)  # copied: links to texts of any length are not to be had
        if started is not None:
            _describe(file, started, view)
            _link(file, "time", (), variables.FLOAT, view)
            variables.describe_time(file["time"], started)
            for field in started.fields:
                _link(file, field.name, field.shape, DTYPES[field.dtype], view)
                variables.describe_field(file[field.name], field, started)
            for name in view.diagnostics:
                _link(file, name, (), variables.FLOAT, view)
                variables.describe_diagnostic(file[name])
    replace(temporary, final)
    return final


def write_merged(run_folder: Path, view: RunView) -> Path:
    """Make one plain file of all steps, each once, and leave it beside ``run.h5``, not yet in its place.

    Chunks are copied as they are stored. The ledger keeps what became of every offset.

    Returns
    -------
    Path
        Of the new file: verify it, then `adopt_merged`.
    """
    temporary = _paths(run_folder)[1]
    started = view.newest
    with h5py.File(temporary, "w") as file:
        account = Account(
            source=view.source, positions=_positions(view), attempts=view.attempts, steered=len(view.steered)
        )
        write_account(file, account, in_order(ledger_of(view)))
        write_steering(file, view.steered)
        if started is not None:
            _describe(file, started, view)
            for name in ("time", *view.diagnostics):
                file.create_dataset(name, data=_collect(view, name, np.full(len(view.steps), np.nan)))
            variables.describe_time(file["time"], started)
            for name in view.diagnostics:
                variables.describe_diagnostic(file[name])
            for field in started.fields:
                variable = create_field(file, field, started, len(view.steps))
                variables.describe_field(variable, field, started)
            _copy_bookkeeping(file, started, view)
            _copy_chunks(file, started, view)
    sync(temporary)
    return temporary


def adopt_merged(run_folder: Path, merged: Path, view: RunView) -> Path:
    """Put a merged file in the place of ``run.h5`` and remove the segments that it has taken over."""
    final = _paths(run_folder)[0]
    replace(merged, final)
    for path in set(segment_paths(run_folder)) & {file.path for file in view.files}:
        path.unlink()
    return final


def remove_taken_over(run_folder: Path, view: RunView) -> None:
    """Remove what an interrupted merge left: an unfinished file, and segments that ``run.h5`` holds already."""
    _paths(run_folder)[1].unlink(missing_ok=True)
    for path in set(segment_paths(run_folder)) - {file.path for file in view.files}:
        path.unlink()


def _paths(run_folder: Path) -> tuple[Path, Path]:
    final = run_folder / RUN_FILE
    return final, final.with_name(final.name + UNSEALED)


def _describe(file: h5py.File, started: RunStarted, view: RunView) -> None:
    variables.describe_run(file, started)
    variables.create_axes(file, started)
    variables.create_steps(file, view.steps)
    if (ended := view.ended) is not None:
        file.attrs["ended"], file.attrs["status"], file.attrs["reason"] = (
            ended.ended,
            ended.status,
            ended.reason,
        )


def _link(file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], view: RunView) -> None:
    """Create a virtual dataset, (step, axes…), over the files of a view."""
    layout = h5py.VirtualLayout((len(view.steps), *shape), dtype)
    is_everywhere = name not in view.diagnostics
    for sealed, rows, places in view.runs_of_rows():
        if is_everywhere or name in sealed.diagnostics:
            relative = sealed.path.relative_to(Path(file.filename).parent)
            source = h5py.VirtualSource(str(relative), name, (len(sealed.steps), *shape), dtype)
            layout[places] = source if rows == slice(0, len(sealed.steps), 1) else source[rows]
    fill = dtype.type(np.nan) if dtype.kind in "fc" else None
    file.create_virtual_dataset(name, layout, fillvalue=fill)


def _collect(view: RunView, name: str, into: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Gather a small variable, one value or row per step; steps without it keep what `into` has."""
    for sealed, rows, places in view.runs_of_rows():
        with open_sealed(sealed.path) as source:
            if name in source:
                into[places] = source[name][rows]
    return into


def _copy_bookkeeping(file: h5py.File, started: RunStarted, view: RunView) -> None:
    n = len(view.steps)
    file[GROUP].create_dataset("attempt", data=_collect(view, f"{GROUP}/attempt", np.zeros(n, np.int32)))
    file[GROUP].create_dataset("digest", data=_collect(view, f"{GROUP}/digest", np.zeros(n, "S64")))
    for field in started.fields:
        tiles = sum(1 for _ in tile_offsets(field.shape, started.tiles[field.name]))
        name = f"{GROUP}/crc32c/{field.name}"
        file.create_dataset(name, data=_collect(view, name, np.zeros((n, tiles), np.uint32)))


def _copy_chunks(file: h5py.File, started: RunStarted, view: RunView) -> None:
    grids = {f.name: [o for o, _ in tile_offsets(f.shape, started.tiles[f.name])] for f in started.fields}
    for sealed, rows, places in view.runs_of_rows():
        pairs = list(zip(_indices(rows), _indices(places), strict=True))
        with open_sealed(sealed.path) as source:
            for name, offsets in grids.items():
                theirs, ours = source[name].id, file[name].id
                for row, place in pairs:
                    for offset in offsets:
                        mask, chunk = theirs.read_direct_chunk((row, *offset))
                        ours.write_direct_chunk((place, *offset), chunk, mask)


def _indices(piece: slice) -> range:
    return range(piece.start, piece.stop, piece.step)


def _positions(view: RunView) -> tuple[Position, ...]:
    """Per partition the last position of all files, stretched back to where the first one begins."""
    last: dict[int, Position] = {}
    first: dict[int, int] = {}
    for file in view.files:
        for position in file.account.positions:
            begin = first.get(position.partition, position.first_offset)
            first[position.partition] = min(begin, position.first_offset)
            known = last.get(position.partition)
            if known is None or position.next_offset > known.next_offset:
                last[position.partition] = position
    return tuple(
        Position(
            partition=p.partition,
            first_offset=first[p.partition],
            next_offset=p.next_offset,
            started=p.started,
            last_step=p.last_step,
            ended=p.ended,
        )
        for _, p in sorted(last.items())
    )
