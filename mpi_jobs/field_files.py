"""A field from a file: ``.npy``, a dataset of an HDF5 file, or a PNG picture.

Files are not trusted: shapes are compared before anything of that size is allocated, nothing is unpickled.
"""

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lockstream.bridge.errors import ConfigurationError, MissingExtra
from lockstream.mpi_jobs.decomposition import Array, Shape

FORMATS = "use name.npy, name.h5:/path/to/dataset or name.png"


def read_field(key: str, source: str, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Read a global field.

    Parameters
    ----------
    key
        Where `source` stands in the configuration, for messages.
    source
        ``name.npy``, ``name.h5:/dataset`` or ``name.png``. A picture is taken as shades of grey from 0
        (black) to 1; its top row comes first.
    shape
        Shape (ny, nx) that it must have.
    dtype
        What its numbers are converted to.

    Raises
    ------
    ConfigurationError
        If it cannot be read, has another shape, or holds something other than finite numbers.
    """
    path, colon, dataset = source.rpartition(":")
    if not colon:
        path = source
    readers = {".npy": _read_npy, ".png": _read_png, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
    suffix = Path(path).suffix.lower()
    if suffix not in readers or bool(colon) != (readers[suffix] is _read_hdf5):
        raise ConfigurationError(key, source, f"is no file that can be read; {FORMATS}")
    try:
        values = readers[suffix](path, dataset, shape)
    except _Unusable as error:
        raise ConfigurationError(key, source, str(error)) from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # what the libraries raise on bad files
        raise ConfigurationError(
            key, source, f"cannot be read ({str(error) or type(error).__name__})"
        ) from None
    with np.errstate(over="ignore"):  # becomes infinite, which is said below
        field = np.ascontiguousarray(values, dtype)
    if not np.isfinite(field).all():
        raise ConfigurationError(
            key, source, "has NaN or infinite elements, or they do not fit into the dtype"
        )
    return field


class _Unusable(Exception):
    """The file is sound but not what is wanted."""


def _read_npy(path: str, _: str, shape: Shape) -> Array:
    values = np.lib.format.open_memmap(path, mode="r")  # refuses objects, hence pickles
    _check(values.shape, values.dtype, shape)
    return values


def _read_hdf5(path: str, dataset: str, shape: Shape) -> Array:
    with h5py.File(path, "r") as file:
        found = file.get(dataset)
        if not isinstance(found, h5py.Dataset):
            raise _Unusable(f"has no dataset {dataset!r}; it holds {', '.join(sorted(file)) or 'nothing'}")
        _check(found.shape, found.dtype, shape)
        values: Array = found[()]
        return values


def _read_png(path: str, _: str, shape: Shape) -> Array:
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("pillow", "models", "an initial state from a picture") from None
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=["PNG"]) as picture:  # reads the header only
                _check(picture.size[::-1], np.dtype(np.uint8), shape)
                if picture.mode.startswith("I"):
                    return np.asarray(picture, np.float64) / (2**16 - 1)
                return np.asarray(picture.convert("L"), np.float64) / (2**8 - 1)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _Unusable(f"is too large a picture to be decoded safely ({error})") from None


def _check(found: tuple[int, ...] | None, dtype: np.dtype[Any], shape: Shape) -> None:
    if found != shape:
        raise _Unusable(f"has shape {found}, but domain.shape is {shape}")
    if dtype.kind not in "biuf":
        raise _Unusable(f"holds {dtype}, not real numbers")
