"""Which steps a run has, and in which sealed file each one lies: every step once, the newest attempt's."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lockstream.bridge.messages import RunEnded, RunStarted, Steered
from lockstream.kafka.archive.account import GROUP, UNREADABLE, Account, Source, read_account, read_ledger
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.ledger import Entry, Outcome
from lockstream.kafka.archive.recovery import merged_file, open_sealed
from lockstream.kafka.archive.steering import each_once, read_steering
from lockstream.kafka.errors import ArchiveDamaged, NotAnArchive

Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class SealedFile:
    """One sealed file of a run.

    Parameters
    ----------
    path
        Where it lies.
    account
        What it says about itself.
    steps, attempts
        Step number and attempt of each row, int64, (rows,).
    diagnostics
        Names of its diagnostics.
    steered
        Commands that were carried out or refused.
    """

    path: Path
    account: Account
    steps: Integers
    attempts: Integers
    diagnostics: tuple[str, ...]
    steered: tuple[Steered, ...] = ()


@dataclass(frozen=True, slots=True)
class RunView:
    """The steps of a run over all its sealed files.

    Parameters
    ----------
    files
        The sealed files.
    steps
        Step numbers in ascending order, int64, (n,).
    file, row
        Where each of them lies: index into `files`, and row there, int64, (n,).
    superseded
        ``(file, row)`` of each step that a newer attempt replaced, int64, (m, 2).
    """

    files: tuple[SealedFile, ...]
    steps: Integers
    file: Integers
    row: Integers
    superseded: Integers

    @property
    def source(self) -> Source:
        """The log that the run was archived from."""
        return self.files[0].account.source

    @property
    def attempts(self) -> tuple[RunStarted, ...]:
        """The attempts, oldest first."""
        return _attempts(self.files)

    @property
    def newest(self) -> RunStarted | None:
        """The newest attempt, None before any ``run-started``."""
        return max(self.attempts, key=lambda started: started.attempt, default=None)

    @property
    def next_offsets(self) -> dict[int, int]:
        """Per partition, the first offset that is not accounted for."""
        reached: dict[int, int] = {}
        for file in self.files:
            for position in file.account.positions:
                reached[position.partition] = max(reached.get(position.partition, 0), position.next_offset)
        return reached

    @property
    def ended(self) -> RunEnded | None:
        """How the newest attempt ended; None while a partition has not said so."""
        newest = self.newest
        if newest is None:
            return None
        last = {p.partition: p for file in self.files for p in sorted(file.account.positions, key=_reach)}
        ends = [p.ended for p in last.values() if p.ended and p.ended.attempt == newest.attempt]
        return ends[0] if len(ends) == newest.partitions else None

    @property
    def diagnostics(self) -> tuple[str, ...]:
        """Names of all diagnostics."""
        return tuple(sorted({name for file in self.files for name in file.diagnostics}))

    @property
    def steered(self) -> tuple[Steered, ...]:
        """The commands of all attempts, each once."""
        return each_once(command for file in self.files for command in file.steered)

    def is_superseded(self, attempt: int, step: int) -> bool:
        """Whether a newer attempt replaced that step of an attempt, wherever it is."""
        return any(newer.attempt > attempt and step > newer.after_step for newer in self.attempts)

    def runs_of_rows(self) -> Iterator[tuple[SealedFile, slice, slice]]:
        """Yield ``(file, rows in the file, positions in the view)``, both as slices with a stride.

        With several partitions each segment holds every n-th step; one slice then serves for many.
        """
        order = np.argsort(self.file, kind="stable")
        bounds = np.searchsorted(self.file[order], np.arange(len(self.files) + 1))
        for number, file in enumerate(self.files):
            positions = order[bounds[number] : bounds[number + 1]]
            for first, stop in _progressions(np.stack([self.row[positions], positions])):
                rows, places = self.row[positions[first:stop]], positions[first:stop]
                yield file, _slice(rows), _slice(places)


def read_sealed(path: Path) -> SealedFile:
    """Read what is small of a sealed file.

    Raises
    ------
    ArchiveDamaged
        If it cannot be read.
    """
    with open_sealed(path) as file:
        account = read_account(file)
        if not account.attempts:
            none = np.empty(0, np.int64)
            return SealedFile(path, account, none, none, ())
        known = {"step", "time", GROUP}
        for field in account.attempts[-1].fields:
            known |= {field.name, *(axis.name for axis in field.axes)}
        try:
            steps, attempts = file["step"][()], file[GROUP]["attempt"][()].astype(np.int64)
            if not steps.shape == attempts.shape == (steps.size,):
                raise ValueError(f"step {steps.shape} and attempt {attempts.shape} do not go together")
            diagnostics = tuple(sorted(set(file) - known))
        except UNREADABLE as error:
            raise ArchiveDamaged(f"{path}: its steps cannot be read ({error})") from None
        steered = read_steering(file, account.source.run)
        return SealedFile(path, account, steps, attempts, diagnostics, steered)


def view_run(run_folder: Path) -> RunView:
    """Look at all sealed files of a run.

    Raises
    ------
    NotAnArchive
        If there are none.
    ArchiveDamaged
        If one cannot be read.
    """
    merged = merged_file(run_folder)
    files = [read_sealed(path) for path in (*([merged] if merged else []), *segment_paths(run_folder))]
    return view_of(run_folder, files)


def view_of(run_folder: Path, files: list[SealedFile]) -> RunView:
    """Put sealed files together, leaving out segments that a merged file has taken over."""
    if not files:
        raise NotAnArchive(f"{run_folder}: nothing has been sealed there yet")
    files = [file for file in files if not _is_taken_over(file, files[0])]
    steps, attempts = (np.concatenate([getattr(f, name) for f in files]) for name in ("steps", "attempts"))
    file = np.repeat(np.arange(len(files)), [len(f.steps) for f in files])
    row = np.concatenate([np.arange(len(f.steps)) for f in files])
    old = np.zeros(len(steps), dtype=bool)
    for started in _attempts(files):
        old |= (attempts < started.attempt) & (steps > started.after_step)
    order = np.flatnonzero(~old)[np.argsort(steps[~old], kind="stable")]
    return RunView(
        tuple(files), steps[order], file[order], row[order], np.stack([file[old], row[old]], axis=1)
    )


def ledger_of(view: RunView) -> list[Entry]:
    """The ledger entries of all files, those of replaced steps and gaps turned into superseded.

    Raises
    ------
    ArchiveDamaged
        If a ledger cannot be read.
    """
    entries = []
    newer = [(started.attempt, started.after_step) for started in view.attempts]
    for sealed in view.files:
        with open_sealed(sealed.path) as file:
            for entry in read_ledger(file):
                is_step = entry.outcome in (Outcome.ARCHIVED, Outcome.CONTROL) and entry.step >= 0
                is_old = is_step and any(entry.attempt < a and entry.step > after for a, after in newer)
                entries.append(entry._replace(outcome=Outcome.SUPERSEDED) if is_old else entry)
    return entries


def _is_taken_over(file: SealedFile, merged: SealedFile) -> bool:
    """Whether a segment is a leftover of a merge: it was about to be removed when the archiver died."""
    if file is merged or merged.path.parent == file.path.parent:
        return False
    reached = {p.partition: p.next_offset for p in merged.account.positions}
    return all(p.next_offset <= reached.get(p.partition, 0) for p in file.account.positions)


def _attempts(files: tuple[SealedFile, ...] | list[SealedFile]) -> tuple[RunStarted, ...]:
    found = {started.attempt: started for file in files for started in file.account.attempts}
    return tuple(found[attempt] for attempt in sorted(found))


def _reach(position: Any) -> int:
    return int(position.next_offset)


def _progressions(columns: Integers) -> Iterator[tuple[int, int]]:
    """Cut columns, (2, n), into the longest runs in which both rows grow by constant strides."""
    first, n = 0, columns.shape[1]
    strides = np.diff(columns, axis=1)
    changes = np.flatnonzero((np.diff(strides, axis=1) != 0).any(axis=0)) + 2  # the stride into it is new
    while first < n:
        later = changes[changes > first + 1]
        stop = int(later[0]) if len(later) else n
        if first + 1 < n and strides[0, first] <= 0:  # a step that came late: no slice goes back
            stop = first + 1
        yield first, stop
        first = stop


def _slice(values: Integers) -> slice:
    stride = int(values[1] - values[0]) if len(values) > 1 else 1
    return slice(int(values[0]), int(values[-1]) + 1, stride)
