"""Who may look at a running simulation, and how its steps get into a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from lockstream.bridge import Axis, Block, Field, Stream, StreamSummary, open_stream
from lockstream.mpi_jobs.config import Configuration, build_model
from lockstream.mpi_jobs.decomposition import Array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mpi4py import MPI


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One step as an observer sees it, on every rank.

    Parameters
    ----------
    step, time
        Number of the step and the physical time.
    offset
        Where this rank's blocks begin in the global fields, (y, x).
    blocks
        This rank's part of every field, e.g. shape (512, 256): views of the live state, to be read before
        `Observer.observe` returns.
    diagnostics
        Scalars reduced over all ranks; the same on each.
    """

    step: int
    time: float
    offset: tuple[int, int]
    blocks: Mapping[str, Array]
    diagnostics: Mapping[str, float]


class Observer(Protocol):
    """Is shown every n-th step; both methods are called on all ranks in the same order."""

    def observe(self, snapshot: Snapshot) -> None:
        """Look at one step."""
        ...

    def close(self, error: BaseException | None) -> None:
        """Take leave; `error` is what ended the simulation early.

        With an error the other ranks may never come here: no MPI then.
        """
        ...


class StreamObserver:
    """Publishes what it sees.

    Parameters
    ----------
    stream
        Where to; it is closed with the simulation, as completed or failed.
    names
        Fields to publish.
    """

    def __init__(self, stream: Stream, names: Sequence[str]) -> None:
        self._stream, self._names = stream, tuple(names)
        self.summary: StreamSummary | None = None
        """On rank 0, after the end of a run without error."""

    def observe(self, snapshot: Snapshot) -> None:
        """Publish one step."""
        self._stream.publish(
            snapshot.step,
            time=snapshot.time,
            blocks={name: Block(snapshot.blocks[name], snapshot.offset) for name in self._names},
            diagnostics=snapshot.diagnostics,
        )

    def close(self, error: BaseException | None) -> None:
        """Wait until everything is acknowledged and end the run."""
        if error is None:
            self.summary = self._stream.close()
        else:
            self._stream.__exit__(type(error), error, error.__traceback__)


def open_stream_observer(comm: MPI.Intracomm, configuration: Configuration) -> StreamObserver:
    """Open the stream that a configuration asks for; collective.

    Raises
    ------
    UserError
        On all ranks alike, if it cannot be opened.
    """
    domain, names = configuration.domain, configuration.stream.fields
    axes = tuple(
        Axis(name, spacing=spacing) for name, spacing in zip(("y", "x"), domain.spacing, strict=True)
    )
    fields = [
        Field(info.name, domain.shape, domain.numpy_dtype.str[1:], info.units, info.long_name, axes)
        for info in build_model(configuration).fields
        if not names or info.name in names
    ]
    kept = msgspec.to_builtins(configuration)
    del kept["kafka"], kept["steering"]["secret"]
    stream = open_stream(
        comm,
        run=configuration.run.id,
        fields=fields,
        kafka=configuration.kafka,
        settings=configuration.stream,
        configuration=kept,
    )
    return StreamObserver(stream, [field.name for field in fields])
