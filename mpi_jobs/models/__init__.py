"""What a simulation model is, and how one is found by name.

A model knows its equations on one rectangle of the domain; decomposition, halos, time loop and output are
none of its business. Install a class under the entry-point group ``lockstream.models`` to add one.
"""

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import msgspec
import numpy as np

from lockstream.bridge.errors import ConfigurationError
from lockstream.mpi_jobs.decomposition import Array, Shape
from lockstream.mpi_jobs.domain import Domain
from lockstream.mpi_jobs.errors import UnknownModel

ENTRY_POINT_GROUP = "lockstream.models"


class FieldInfo(NamedTuple):
    """A field of a model: its name in the archive, its unit and what it means."""

    name: str
    units: str
    long_name: str


class Model(Protocol):
    """One simulation model with explicit time steps and a stencil that reaches one element far.

    It is made as ``Model(parameters, domain)``, on every rank alike, with an instance of its `Parameters`.
    """

    Parameters: ClassVar[type[msgspec.Struct]]
    """The ``[model]`` table; set ``forbid_unknown_fields=True`` to have misspelt keys refused."""

    fields: ClassVar[tuple[FieldInfo, ...]]
    """Fields in the order in which `step` gets them."""

    dt: float
    """Length of a time step."""

    largest_stable_dt: float
    """Longer time steps are refused at the start."""

    def __init__(self, parameters: Any, domain: Domain) -> None: ...

    def initial_state(self, random: np.random.Generator) -> dict[str, Array]:
        """Make the global fields, of ``domain.shape`` and ``domain.dtype``; called on rank 0 only."""
        ...

    def step(self, old: Sequence[Array], new: Sequence[Array], shape: Shape) -> None:
        """Compute the next state of this rank's rectangle.

        Parameters
        ----------
        old, new
            One array per field; the interior lies at ``[1 : ny + 1, 1 : nx + 1]``, in `old` with its halo
            filled all around. Rows may be padded on the right.
        shape
            Interior (ny, nx).
        """
        ...

    def integrals(self, fields: Sequence[Array], shape: Shape, totals: Sequence[float]) -> dict[str, float]:
        """Return this rank's share of quantities such as mass or energy, by name; shares are summed up.

        `fields` and `shape` are those of `step`; of the halo nothing is promised. `totals` has the sum of this
        rank's elements of each field, which is known anyway.
        """
        ...


class SteerableModel(Model, Protocol):
    """A model with parameters that may be changed while it runs: a new object then takes the old one's place.

    A model that has no `steerable` is a complete model too.
    """

    steerable: ClassVar[frozenset[str]]
    """Names in `Parameters` that may be changed; not ``dt``, and not what only the initial state uses."""

    parameters: Any
    """The `Parameters` in effect, with presets and defaults filled in: ``dt`` above all. A model made from
    them computes the same, bit for bit."""


def find_model(name: str) -> type[Model]:
    """Return the model class installed under `name`.

    Raises
    ------
    UnknownModel
        If there is none; names the nearest.
    ConfigurationError
        If its package cannot be imported.
    """
    installed = entry_points(group=ENTRY_POINT_GROUP)
    if name not in installed.names:
        raise UnknownModel(name, sorted(installed.names))
    try:
        return cast(type[Model], installed[name].load())
    except (ModuleNotFoundError, AttributeError) as error:
        problem = f"is installed as {installed[name].value}, which cannot be loaded: {error}"
        raise ConfigurationError("run.model", name, problem) from None
