"""The configuration of a simulation: what the tables hold, and whether it can be run.

Rank 0 reads and checks, the others are told; a mistake is raised on all ranks alike.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lockstream.bridge.control import SteeringSettings
from lockstream.bridge.errors import ConfigurationError
from lockstream.bridge.messages import is_run_id
from lockstream.bridge.settings import (
    ENVIRONMENT_PREFIX,
    LONGEST,
    StreamSettings,
    convert,
    read_tables,
    unknown_key,
)
from lockstream.mpi_jobs.collect import on_root
from lockstream.mpi_jobs.decomposition import Decomposition, process_grid
from lockstream.mpi_jobs.domain import Domain
from lockstream.mpi_jobs.models import Model, find_model

if TYPE_CHECKING:
    from mpi4py import MPI


class RunSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[run]`` table.

    Parameters
    ----------
    id
        Name of the run, ``[a-z0-9][a-z0-9_-]{0,63}``.
    model
        Name of an installed model, e.g. ``"gray-scott"``.
    steps
        Time steps to do.
    seed
        Of the random numbers in the initial state.
    """

    id: str
    model: str
    steps: int
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_run_id(self.id):
            cure = "use 1 to 64 of a-z, 0-9, '-' and '_', beginning with a-z or 0-9"
            raise ConfigurationError("run.id", self.id, cure)
        if self.steps < 1:
            raise ConfigurationError("run.steps", self.steps, "must be at least 1")
        if self.seed < 0:
            raise ConfigurationError("run.seed", self.seed, "must not be negative")


class CheckpointSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[checkpoint]`` table.

    Parameters
    ----------
    folder
        Gets a folder per run; all ranks must see it.
    every
        Write one every n-th step; 0: only when the run is stopped or asked for one.
    seconds
        Write one when so much time has passed since the last; 0: not by the clock.
    keep
        How many to keep.
    sync_timeout
        Seconds that Kafka gets to acknowledge what was published; then that goes to the spool.
    on_usr1
        What SIGUSR1 asks for: ``stop`` in good order, or ``continue`` after a checkpoint.
    """

    folder: str = "checkpoints"
    every: int = 0
    seconds: float = 0
    keep: int = 2
    sync_timeout: float = 5.0
    on_usr1: Literal["stop", "continue"] = "stop"

    def __post_init__(self) -> None:
        if self.every < 0:
            raise ConfigurationError("checkpoint.every", self.every, "must be at least 1, or 0 for never")
        if self.keep < 1:
            raise ConfigurationError("checkpoint.keep", self.keep, "must be at least 1")
        for key in ("seconds", "sync_timeout"):
            if not 0 <= (value := getattr(self, key)) <= LONGEST:
                raise ConfigurationError(f"checkpoint.{key}", value, f"must be 0 to {LONGEST} seconds")

    @property
    def is_periodic(self) -> bool:
        """Whether checkpoints are written without being asked for."""
        return self.every > 0 or self.seconds > 0


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All tables.

    Parameters
    ----------
    run, domain, stream, checkpoint, steering
        As their classes say.
    model
        Parameters of the model; which there are is up to it.
    initial
        Files to start from, by field, e.g. ``{"u": "/data/u.npy"}``; other fields are up to the model.
    kafka
        Options for librdkafka.
    archive, analysis
        For the commands of these names, which read the same file.
    """

    run: RunSettings
    domain: Domain
    model: dict[str, Any] = {}
    initial: dict[str, str] = {}
    stream: StreamSettings = StreamSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    steering: SteeringSettings = SteeringSettings()
    kafka: dict[str, Any] = {}
    archive: dict[str, Any] = {}
    analysis: dict[str, Any] = {}


def load_configuration(
    comm: MPI.Intracomm,
    path: Path | None,
    environ: Mapping[str, str] = os.environ,
    overrides: Sequence[str] = (),
) -> Configuration:
    """Read and check a configuration on rank 0 and give it to all ranks; collective.

    Raises
    ------
    UserError
        On all ranks alike; see `read_configuration`.
    """
    configuration = on_root(comm, lambda: read_configuration(path, environ, overrides, comm.size))
    return msgspec.convert(comm.bcast(msgspec.to_builtins(configuration)), Configuration)


def read_configuration(
    path: Path | None, environ: Mapping[str, str], overrides: Sequence[str], ranks: int
) -> Configuration:
    """Read a configuration and check that `ranks` ranks can run it.

    Parameters
    ----------
    path
        TOML file. File names in its ``[initial]`` table are relative to its folder.
    environ
        ``LOCKSTREAM_<TABLE>_<KEY>``; variables of tables that belong to other commands are passed over.
    overrides
        ``table.key=value`` each.
    ranks
        Size of the world.

    Raises
    ------
    ConfigurationError
        Naming key, value and cure.
    """
    prefixes = tuple(f"{ENVIRONMENT_PREFIX}{table.upper()}_" for table in Configuration.__struct_fields__)
    ours = {name: value for name, value in environ.items() if name.startswith(prefixes)}
    configuration = convert(read_tables(path, ours, overrides), Configuration)
    folder = path.parent if path is not None else Path()
    sources = {field: str(folder.absolute() / source) for field, source in configuration.initial.items()}
    configuration = msgspec.structs.replace(configuration, initial=sources)
    _check_finite(configuration)
    model = build_model(configuration)
    _check_fields(configuration, [field.name for field in model.fields])
    _check_memory(configuration, len(model.fields))
    decompose(configuration, ranks)
    if not 0 < model.dt <= model.largest_stable_dt:
        raise ConfigurationError(
            "model.dt",
            model.dt,
            f"is unstable at this spacing; the largest stable one is {_rounded_down(model.largest_stable_dt)}",
        )
    return configuration


def build_model(configuration: Configuration) -> Model:
    """Make the model that a configuration asks for.

    Raises
    ------
    ConfigurationError
        If there is no such model, or it cannot do with the parameters.
    """
    model = find_model(configuration.run.model)
    return model(convert(configuration.model, model.Parameters, "model"), configuration.domain)


def decompose(configuration: Configuration, ranks: int) -> Decomposition:
    """Deal the domain out to `ranks` ranks.

    Raises
    ------
    ConfigurationError
        If some rank would be left without an element, or ``domain.grid`` is for another number of ranks.
    """
    shape, grid = configuration.domain.shape, configuration.domain.grid
    if grid is None:
        if (chosen := process_grid(ranks, shape)) is None:
            fewer = next(n for n in range(ranks - 1, 0, -1) if process_grid(n, shape))
            problem = f"cannot be shared by {ranks} ranks; start {fewer}, or take a larger domain"
            raise ConfigurationError("domain.shape", list(shape), problem)
        return Decomposition(shape, chosen)
    if min(grid) < 1 or grid[0] * grid[1] != ranks:
        problem = (
            f"must be two positive numbers whose product is the number of ranks, {ranks}; or leave it out"
        )
        raise ConfigurationError("domain.grid", list(grid), problem)
    if grid[0] > shape[0] or grid[1] > shape[1]:
        raise ConfigurationError("domain.grid", list(grid), f"is finer than domain.shape = {list(shape)}")
    return Decomposition(shape, grid)


def _check_finite(configuration: Configuration) -> None:
    for key, value in configuration.model.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigurationError(f"model.{key}", value, "must be a finite number")


def _check_fields(configuration: Configuration, names: Sequence[str]) -> None:
    for name, source in configuration.initial.items():
        if name not in names:
            raise unknown_key(f"initial.{name}", source, names)
    for name in configuration.stream.fields:
        if name not in names:
            problem = f"model {configuration.run.model!r} has no such field; it has {', '.join(names)}"
            raise ConfigurationError("stream.fields", name, problem)


def _check_memory(configuration: Configuration, fields: int) -> None:
    """Refuse what rank 0 cannot hold: the whole initial state is made there."""
    shape, itemsize = configuration.domain.shape, configuration.domain.numpy_dtype.itemsize
    needed = fields * shape[0] * shape[1] * itemsize
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        problem = f"takes {needed / 2**30:.3g} GiB, this machine has {memory / 2**30:.3g}; take a smaller one"
        raise ConfigurationError("domain.shape", list(shape), problem)


def _rounded_down(value: float) -> float:
    """To four digits, so that the number in an error message may be taken as it is."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 3)
    return float(f"{math.floor(value / unit) * unit:.4g}")
