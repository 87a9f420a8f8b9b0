"""A run as xarray sees it: one dataset over all its sealed files. Needs xarray; see `readers.open_run`."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any

import h5py
import numpy as np
import xarray
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core.indexing import IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from lockstream.bridge.messages import DTYPES, Field
from lockstream.kafka.archive.account import UNREADABLE
from lockstream.kafka.archive.layout import RUN_FILE
from lockstream.kafka.archive.recovery import merged_file, open_sealed
from lockstream.kafka.archive.view import RunView, SealedFile, view_run
from lockstream.kafka.errors import ArchiveDamaged, ArchiveRefused, NotAnArchive

OPEN_FILES = 128


class RunEntrypoint(BackendEntrypoint):
    """What ``xarray.open_dataset(run_folder, engine=RunEntrypoint)`` calls."""

    open_dataset_parameters = ("filename_or_obj", "drop_variables")

    def open_dataset(self, filename_or_obj: Any, *, drop_variables: Any = None) -> xarray.Dataset:
        """Open the run whose folder `filename_or_obj` is."""
        folder = Path(filename_or_obj)
        try:
            dataset = _open(folder)
        except (ArchiveDamaged, NotAnArchive):
            if merged_file(folder) is None:
                raise
            dataset = _open(folder)  # its segments were merged while we looked at them
        dataset.attrs.setdefault("status", "open")
        kept = dataset.drop_vars(drop_variables or ())
        kept.set_close(dataset.close)
        return kept


def _open(folder: Path) -> xarray.Dataset:
    view = view_run(folder)
    if [sealed.path.name for sealed in view.files] == [RUN_FILE]:
        return _open_file(view.files[0].path)
    return _dataset_of(folder, view)


def _open_file(path: Path) -> xarray.Dataset:
    return xarray.open_dataset(path, engine="h5netcdf", decode_times=False)


def _dataset_of(folder: Path, view: RunView) -> xarray.Dataset:
    """Make a dataset like that of the newest attempt's last file, but with the steps of all."""
    started = view.newest
    if started is None:
        return xarray.Dataset(coords={"step": view.steps}, attrs={"run": view.source.run})
    rows = _Rows(folder, view)
    data: dict[str, Any] = {"step": view.steps, **rows.scalars(("time", *view.diagnostics))}
    for field in started.fields:
        data[field.name] = LazilyIndexedArray(_FieldArray(rows, field, len(view.steps)))
    newest = [sealed for sealed in view.files if started in sealed.account.attempts]
    with _open_file(max(newest, key=lambda sealed: len(sealed.diagnostics)).path) as like:
        variables = {
            str(name): xarray.Variable(v.dims, data[str(name)] if name in data else v.to_numpy(), v.attrs)
            for name, v in like.variables.items()
        }
        attributes, coordinates = dict(like.attrs), list(like.coords)
    if view.ended is not None:
        attributes |= {name: getattr(view.ended, name) for name in ("ended", "status", "reason")}
    for name in data.keys() - variables.keys():  # a diagnostic that only older steps have
        variables[name] = xarray.Variable(("step",), data[name])
    dataset = xarray.Dataset(variables, attrs=attributes).set_coords(coordinates)
    dataset.set_close(rows.close)
    return dataset


class _Rows:
    """Reads steps wherever they lie. The files read last stay open: they outlive their names.

    Parameters
    ----------
    folder, view
        The run, and its steps as they lay when it was opened.
    """

    def __init__(self, folder: Path, view: RunView) -> None:
        self._folder, self._view = folder, view
        self._files: OrderedDict[Path, h5py.File] = OrderedDict()
        self._lock = RLock()  # dask reads from many threads; HDF5 itself takes one at a time

    def scalars(self, names: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
        """Read small variables whole, float64, (steps,); NaN where a step has none."""
        values = {name: np.full(len(self._view.steps), np.nan) for name in names}
        for sealed, rows, places in self._view.runs_of_rows():
            file = self._file(sealed.path)
            for name in file.keys() & values.keys():
                values[name][places] = file[name][rows]
        return values

    def read(self, name: str, number: int, inner: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        """Read a part of a field at the `number`-th step.

        Raises
        ------
        ArchiveDamaged
            If it cannot be read.
        ArchiveRefused
            If it is gone because a newer attempt has replaced the step.
        """
        with self._lock:
            path = self._path(number)
            if path not in self._files and not path.exists():
                self._follow_merge()
                path = self._path(number)
            try:
                return np.asarray(self._file(path)[name][(int(self._view.row[number]), *inner)])
            except UNREADABLE as error:
                step = self._view.steps[number]
                raise ArchiveDamaged(f"{path}: {name} of step {step} cannot be read ({error})") from None

    def close(self) -> None:
        """Close the files; they are opened again if need be."""
        with self._lock:
            while self._files:
                self._files.popitem()[1].close()

    def _path(self, number: int) -> Path:
        sealed: SealedFile = self._view.files[self._view.file[number]]
        return sealed.path

    def _file(self, path: Path) -> h5py.File:
        if path not in self._files:
            self._files[path] = open_sealed(path)
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(path)
        return self._files[path]

    def _follow_merge(self) -> None:
        """Find the same steps again after segments were merged."""
        now, then = view_run(self._folder), self._view
        found = {key: place for place, key in enumerate(_keys(now))}
        try:
            places = np.array([found[key] for key in _keys(then)])
        except KeyError:
            raise ArchiveRefused(
                f"{self._folder}: a newer attempt has replaced steps of it; open it again"
            ) from None
        self._view = replace(then, files=now.files, file=now.file[places], row=now.row[places])


class _FieldArray(BackendArray):
    """A field over all steps, (steps, axes…), read step by step."""

    def __init__(self, rows: _Rows, field: Field, steps: int) -> None:
        self._rows, self._name = rows, field.name
        self.shape = (steps, *field.shape)
        self.dtype = DTYPES[field.dtype]

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
        steps, *inner = key
        if not isinstance(steps, slice):
            return self._rows.read(self._name, int(steps), tuple(inner))
        numbers = range(self.shape[0])[steps]
        if not numbers:
            return np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *inner)]
        return np.stack([self._rows.read(self._name, number, tuple(inner)) for number in numbers])


def _keys(view: RunView) -> Iterator[tuple[int, int]]:
    """Attempt and number of each step."""
    for step, file, row in zip(view.steps.tolist(), view.file.tolist(), view.row.tolist(), strict=True):
        yield int(view.files[file].attempts[row]), step
