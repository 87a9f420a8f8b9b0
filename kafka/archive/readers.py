"""`open_run`: a live, interrupted or finished run as a lazy xarray.Dataset."""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lockstream.bridge.errors import MissingExtra
from lockstream.kafka.archive.layout import one_run

if TYPE_CHECKING:
    import xarray


def open_run(path: str | os.PathLike[str]) -> "xarray.Dataset":
    """Open an archived run, whatever state it is in; nothing but what is small is read before it is used.

    Parameters
    ----------
    path
        The run's folder in the archive, or the ``run.h5`` in it.

    Returns
    -------
    xarray.Dataset
        Fields (step, axes…), diagnostics (step) and ``time`` over the ``step`` coordinate: what was sealed
        when it was opened. It stays readable when the segments are merged meanwhile. Times are numbers with
        ``units``; `xarray.decode_cf` makes dates of them where they are dates.

    Raises
    ------
    NotAnArchive
        If there is no run at `path`.
    ArchiveDamaged
        If a sealed file cannot be read.
    MissingExtra
        If xarray or h5netcdf is not installed.
    """
    for package in ("xarray", "h5netcdf"):
        try:
            import_module(package)
        except ModuleNotFoundError:
            raise MissingExtra(package, "analysis", "open_run") from None
    import xarray

    from lockstream.kafka.archive.dataset import RunEntrypoint

    return xarray.open_dataset(one_run(Path(path)), engine=RunEntrypoint)
