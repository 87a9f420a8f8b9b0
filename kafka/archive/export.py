"""A run in another format, written through xarray."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray

EXPORT_BYTES = 256 << 20  # read at once


def write_zarr(dataset: "xarray.Dataset", store: Path) -> None:
    """Write a dataset over ``step`` as a Zarr store, so many steps at once as there is room for.

    It gets its name when all are in it. The format is Zarr's second: every reader knows it, consolidated
    metadata included.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    unfinished = store.with_name(f"{store.name}.unfinished")
    steps = dataset.sizes["step"]
    at_once = max(1, EXPORT_BYTES * steps // max(1, dataset.nbytes))
    for first in range(0, max(1, steps), at_once):
        part = dataset.isel(step=slice(first, first + at_once)).drop_encoding()
        place: Any = {"append_dim": "step"} if first else {"mode": "w"}
        part.to_zarr(unfinished, zarr_format=2, **place)
    unfinished.rename(store)
