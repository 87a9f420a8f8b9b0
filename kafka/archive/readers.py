"""`open_run`: a live, interrupted or finished run as a lazy xarray.Dataset."""

import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from lockstream.bridge.errors import MissingExtra
from lockstream.bridge.messages import DTYPES, Field
from lockstream.kafka.archive.layout import one_run
from lockstream.kafka.archive.recovery import merged_file, open_sealed
from lockstream.kafka.archive.view import RunView, view_run

if TYPE_CHECKING:
    import xarray

OPEN_FILES = 128


def open_run(path: str | os.PathLike[str]) -> "xarray.Dataset":
    """Open an archived run, whatever state it is in; nothing but coordinates is read before it is used.

    Parameters
    ----------
    path
        The run's folder in the archive, or the ``run.h5`` in it.

    Returns
    -------
    xarray.Dataset
        Fields (step, axes…), diagnostics (step) and ``time`` over the ``step`` coordinate: what was sealed
        when it was opened. It stays readable when the segments are merged meanwhile.

    Raises
    ------
    NotAnArchive
        If there is no run at `path`.
    MissingExtra
        If xarray is not installed.
    """
    try:
        import xarray
    except ModuleNotFoundError:
        raise MissingExtra("xarray", "analysis", "open_run") from None
    folder = one_run(Path(path))
    if (merged := merged_file(folder)) is not None:
        return xarray.open_dataset(merged, engine="h5netcdf")
    return _dataset_of(view_run(folder))


def _dataset_of(view: RunView) -> "xarray.Dataset":
    """A dataset over segments; files are opened when they are read."""
    import xarray
    from xarray.core.indexing import LazilyIndexedArray

    started = view.newest
    if started is None:
        return xarray.Dataset(coords={"step": view.steps}, attrs={"run": view.source.run})
    files = _OpenFiles()
    variables: dict[str, Any] = {}
    for field in started.fields:
        lazy = LazilyIndexedArray(_rows_type()(view, files, field))
        dims = ("step", *(axis.name for axis in field.axes))
        attributes = {"units": field.units, "long_name": field.long_name or field.name}
        variables[field.name] = xarray.Variable(dims, lazy, attributes)
    for name in ("time", *view.diagnostics):
        variables[name] = ("step", _scalars(view, files, name))
    coordinates: dict[str, Any] = {"step": view.steps}
    for field in started.fields:
        for axis, size in zip(field.axes, field.shape, strict=True):
            values = axis.start + axis.spacing * np.arange(size)
            coordinates[axis.name] = (axis.name, values, {"units": axis.units})
    attributes = {"run": started.run, "status": view.ended.status if view.ended else "open"}
    dataset = xarray.Dataset(variables, coords=coordinates, attrs=attributes)
    return dataset.set_coords("time")


def _scalars(view: RunView, files: "_OpenFiles", name: str) -> np.ndarray[Any, Any]:
    values = np.full(len(view.steps), np.nan)
    for sealed, rows, places in view.runs_of_rows():
        file = files.get(sealed.path)
        if name in file:
            values[places] = file[name][rows]
    return values


class _OpenFiles:
    """The segments read last, kept open: what is open stays readable when its name is gone."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, h5py.File] = OrderedDict()

    def get(self, path: Path) -> h5py.File:
        if path not in self._files:
            self._files[path] = open_sealed(path)
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(path)
        return self._files[path]


def _rows_type() -> Any:
    """The array that xarray indexes; defined here because xarray is optional."""
    from xarray.backends import BackendArray
    from xarray.core.indexing import IndexingSupport, explicit_indexing_adapter

    class Rows(BackendArray):
        def __init__(self, view: RunView, files: _OpenFiles, field: Field) -> None:
            self._view, self._files, self._name = view, files, field.name
            self.shape = (len(view.steps), *field.shape)
            self.dtype = DTYPES[field.dtype]

        def __getitem__(self, key: Any) -> Any:
            return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read)

        def _read(self, key: tuple[Any, ...]) -> np.ndarray[Any, Any]:
            steps, inner = key[0], key[1:]
            chosen = np.atleast_1d(np.arange(self.shape[0])[steps])
            read = [self._row(int(number), inner) for number in chosen]
            empty = np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *inner)]
            together = np.stack(read) if read else empty
            return together[0] if isinstance(steps, int | np.integer) else together

        def _row(self, number: int, inner: tuple[Any, ...]) -> np.ndarray[Any, Any]:
            sealed = self._view.files[self._view.file[number]]
            return np.asarray(self._files.get(sealed.path)[self._name][(int(self._view.row[number]), *inner)])

    return Rows
