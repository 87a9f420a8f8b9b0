"""The variables of an archive file: names, dimension scales and attributes, as CF and xarray expect them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import h5py
import numpy as np

from lockstream.bridge.messages import DTYPES, Field, RunStarted
from lockstream.bridge.rounding import relative_error_bound

FLOAT = np.dtype("<f8")
INTEGER = np.dtype("<i8")


def describe_run(file: h5py.File, started: RunStarted) -> None:
    """Write the root attributes: run id, configuration as given, versions, host, Slurm job."""
    file.attrs["Conventions"] = "CF-1.11"
    file.attrs["title"] = f"Run {started.run}"
    file.attrs["run"] = started.run
    file.attrs["started"] = started.started
    file.attrs["configuration"] = json.dumps(started.configuration)
    for name, text in started.environment.items():
        file.attrs[f"environment_{name}"] = text


def create_axes(file: h5py.File, started: RunStarted) -> None:
    """Create the coordinate variable of each axis, as a dimension scale."""
    for field in started.fields:
        for axis, size in zip(field.axes, field.shape, strict=True):
            if axis.name not in file:
                scale = file.create_dataset(axis.name, data=axis.start + axis.spacing * np.arange(size))
                scale.attrs["units"] = axis.units
                scale.attrs["axis"] = axis.name.upper() if axis.name in ("x", "y", "z") else ""
                scale.make_scale(axis.name)


def create_steps(file: h5py.File, steps: Sequence[int] | np.ndarray[Any, Any]) -> None:
    """Create the ``step`` coordinate, which all other variables share."""
    scale = file.create_dataset("step", data=np.asarray(steps, INTEGER))
    scale.attrs["units"] = "1"
    scale.attrs["long_name"] = "step number of the simulation"
    scale.make_scale("step")


def describe_time(time: h5py.Dataset, started: RunStarted) -> None:
    """Attributes and scale of ``time``."""
    time.attrs["units"] = started.time_units
    time.attrs["long_name"] = "physical time"
    attach_scales(time, ("step",))


def describe_field(variable: h5py.Dataset, field: Field, started: RunStarted) -> None:
    """Attributes and scales of a field's variable, (step, axes…); how it was rounded, if it was."""
    if (keep_bits := started.rounding.get(field.name)) is not None:
        variable.attrs["quantization_nsb"] = keep_bits
        variable.attrs["maximum_relative_error"] = relative_error_bound(keep_bits)
    variable.attrs["units"] = field.units
    variable.attrs["long_name"] = field.long_name or field.name
    variable.attrs["coordinates"] = "time"
    attach_scales(variable, ("step", *(axis.name for axis in field.axes)))


def describe_diagnostic(variable: h5py.Dataset) -> None:
    """Attributes and scales of a diagnostic's variable, (step,)."""
    variable.attrs["long_name"] = f"{variable.name.lstrip('/')}, reduced over all ranks"
    variable.attrs["coordinates"] = "time"
    attach_scales(variable, ("step",))


def attach_scales(variable: h5py.Dataset, names: Iterable[str]) -> None:
    """Name the dimensions of a variable by scales of the same file."""
    for number, name in enumerate(names):
        variable.dims[number].attach_scale(variable.file[name])


def field_dtype(field: Field) -> np.dtype[Any]:
    """The dtype that a field has in the file: as on the wire."""
    return DTYPES[field.dtype]
