"""What a run says of itself, first and last: ``run-started`` and ``run-ended``."""

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from lockstream.bridge.errors import ConfigurationError, UserError
from lockstream.bridge.messages import DTYPES, Field, RunEnded, RunStarted, is_run_id
from lockstream.bridge.settings import StreamSettings
from lockstream.bridge.tiles import tile_shape
from lockstream.bridge.wire import encode

Status = Literal["completed", "stopped", "failed"]


def run_started(run: str, fields: Sequence[Field], settings: StreamSettings, **about: Any) -> RunStarted:
    """Make the first message of an attempt.

    Parameters
    ----------
    run, fields, settings
        As `open_stream` was given them.
    about
        Further parameters of `RunStarted`.

    Raises
    ------
    UserError
        If a run cannot be called or described like that.
    """
    if not is_run_id(run):
        raise ConfigurationError(
            "run.id", run, "use 1 to 64 of a-z, 0-9, '-' and '_', beginning with a-z or 0-9"
        )
    tiles = {f.name: tile_shape(f.shape, DTYPES[f.dtype].itemsize, settings.tile_bytes) for f in fields}
    try:
        started = RunStarted(
            run=run,
            fields=tuple(fields),
            tiles=tiles,
            partitions=settings.partitions,
            codec=settings.codec,
            rounding=settings.rounding,
            environment=_environment(),
            started=_now(),
            **about,
        )
        encode(started)  # what cannot be sent is refused before there is a topic
        return started
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"run {run!r}: {error}") from None


def run_ended(
    started: RunStarted, status: Status, reason: str, steps: int, last_step: int, measured: dict[str, float]
) -> RunEnded:
    """Make the last message of an attempt; the parameters are those of `RunEnded`."""
    return RunEnded(
        run=started.run,
        attempt=started.attempt,
        status=status,
        reason=reason,
        steps=steps,
        last_step=last_step,
        ended=_now(),
        measured=measured,
    )


def _environment() -> dict[str, str]:
    """Versions, host and Slurm job: what helps to repeat a run."""
    packages = ("lockstream", "numpy", "mpi4py", "confluent-kafka")
    found = {"python": platform.python_version(), "host": platform.node()}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    slurm = (
        "SLURM_JOB_ID",
        "SLURM_JOB_NAME",
        "SLURM_CLUSTER_NAME",
        "SLURM_JOB_NODELIST",
        "SLURM_RESTART_COUNT",
    )
    return found | {name.lower(): os.environ[name] for name in slurm if name in os.environ}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
