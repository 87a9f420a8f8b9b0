"""Who may look at a running simulation, and how its steps get into a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from lockstream.bridge import Axis, Block, Field, Stream, StreamSummary, open_stream
from lockstream.bridge.run_messages import Status
from lockstream.mpi_jobs.config import Configuration, build_model
from lockstream.mpi_jobs.decomposition import Array
from lockstream.mpi_jobs.phases import NoTimers, Timers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mpi4py import MPI

    from lockstream.mpi_jobs.checkpoint import Start


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
    timers
        Are told of the phase ``publish``.
    """

    def __init__(self, stream: Stream, names: Sequence[str], timers: Timers | None = None) -> None:
        self.stream, self._names = stream, tuple(names)
        self._publishing = (timers or NoTimers()).phase("publish")
        self.stopped = ""
        """Why the simulation ends early, in good order; empty if it does not."""
        self.measured: dict[str, float] = {}
        """What ``run-ended`` is to tell beside the stream's own figures."""
        self.summary: StreamSummary | None = None
        """On rank 0, after the end of a run without error."""

    def observe(self, snapshot: Snapshot) -> None:
        """Publish one step."""
        with self._publishing:
            self.stream.publish(
                snapshot.step,
                time=snapshot.time,
                blocks={name: Block(snapshot.blocks[name], snapshot.offset) for name in self._names},
                diagnostics=snapshot.diagnostics,
            )

    def close(self, error: BaseException | None) -> None:
        """Wait until everything is acknowledged and end the run."""
        if error is None:
            status: Status = "stopped" if self.stopped else "completed"
            self.summary = self.stream.close(status, self.stopped[:500], self.measured)
        else:
            self.stream.__exit__(type(error), error, error.__traceback__)


def open_stream_observer(
    comm: MPI.Intracomm,
    configuration: Configuration,
    start: Start | None = None,
    timers: Timers | None = None,
) -> StreamObserver:
    """Open the stream that a configuration asks for; collective.

    Parameters
    ----------
    comm
        The ranks that share the domain.
    configuration
        As it was given.
    start
        Where a later attempt begins.
    timers
        Are told of the phases ``publish``, ``stall``, ``gather`` and ``wait``.

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
    timers = timers or NoTimers()
    kept = msgspec.to_builtins(configuration)
    del kept["kafka"], kept["steering"]["secret"]
    stream = open_stream(
        comm,
        run=configuration.run.id,
        fields=fields,
        kafka=configuration.kafka,
        settings=configuration.stream,
        configuration=kept,
        attempt=start.attempt if start else 0,
        after_step=start.progress.published if start else -1,
        steps_before=start.progress.steps if start and start.attempt else -1,
        control_topic=configuration.steering.topic if configuration.steering.enabled else "",
        watch=timers.phase,
    )
    return StreamObserver(stream, [field.name for field in fields], timers)
