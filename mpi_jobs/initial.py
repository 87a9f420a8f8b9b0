"""The initial state: made by the model or read from files, on rank 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lockstream.mpi_jobs.collect import on_root
from lockstream.mpi_jobs.config import Configuration, build_model
from lockstream.mpi_jobs.decomposition import Array
from lockstream.mpi_jobs.field_files import read_field

if TYPE_CHECKING:
    from mpi4py import MPI


def make_initial_state(comm: MPI.Intracomm, configuration: Configuration) -> dict[str, Array] | None:
    """Make the global fields on rank 0; collective.

    Returns
    -------
    dict, or None
        On rank 0 every field by name, of ``domain.shape`` and ``domain.dtype``.

    Raises
    ------
    UserError
        On all ranks alike, if a file cannot be used.
    """
    return on_root(comm, lambda: initial_state(configuration))


def initial_state(configuration: Configuration) -> dict[str, Array]:
    """Make the global fields; files take the place of what the model would start with.

    Raises
    ------
    ConfigurationError
        If a file cannot be used.
    """
    domain, model = configuration.domain, build_model(configuration)
    read = {
        name: read_field(f"initial.{name}", source, domain.shape, domain.numpy_dtype)
        for name, source in configuration.initial.items()
    }
    if len(read) == len(model.fields):
        return read
    return model.initial_state(np.random.default_rng(configuration.run.seed)) | read
