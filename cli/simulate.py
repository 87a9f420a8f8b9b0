"""``lockstream simulate``: what mpirun or srun starts, once per rank."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstream.bridge.errors import LockstreamError

STOPPED = 75  # stopped early in good order: Slurm requeues on it

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpi4py import MPI

    from lockstream.bridge import StreamSummary
    from lockstream.mpi_jobs.checkpoint import Start
    from lockstream.mpi_jobs.config import Configuration
    from lockstream.mpi_jobs.observers import Observer, Snapshot
    from lockstream.mpi_jobs.simulation import RunSummary


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="Replace a value of CONFIG."
)
@click.option("--no-stream", is_flag=True, help="Compute only; no Kafka is needed.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="always",
    type=click.Choice(["always", "auto"]),
    help="Go on from the run's newest checkpoint, as its next attempt; auto: begin anew where there is none.",
)
@click.option("--summary", type=click.Path(path_type=Path), help="Write what the run took to a JSON file.")
@click.option(
    "--phases",
    type=click.Path(path_type=Path),
    envvar="LOCKSTREAM_PHASES",
    show_envvar=True,
    metavar="FOLDER",
    help="Time the phases of every rank, for `lockstream timeline FOLDER`.",
)
def simulate(
    config: Path,
    overrides: tuple[str, ...],
    no_stream: bool,
    resume: str | None,
    summary: Path | None,
    phases: Path | None,
) -> int:
    """Run the simulation that CONFIG, a TOML file, describes, and publish its steps.

    Start it on several ranks with mpirun or srun:

    \b
        mpirun -n 4 lockstream simulate examples/gray_scott.toml

    It exits with 75 if it was stopped early in good order: the same command with --resume goes on.
    """  # noqa: D301 - click's mark, not a backslash
    from lockstream.mpi_jobs.launch import mpi_world

    with mpi_world() as comm:
        return _simulate(comm, config, overrides, no_stream, resume, summary, phases)


def _simulate(
    comm: MPI.Intracomm,
    config: Path,
    overrides: Sequence[str],
    no_stream: bool,
    resume: str | None,
    summary: Path | None,
    phases: Path | None,
) -> int:
    from lockstream.mpi_jobs import checkpoint
    from lockstream.mpi_jobs.collect import on_root
    from lockstream.mpi_jobs.config import load_configuration
    from lockstream.mpi_jobs.initial import make_initial_state
    from lockstream.mpi_jobs.observers import open_stream_observer
    from lockstream.mpi_jobs.phases import phase_timers
    from lockstream.mpi_jobs.simulation import run_simulation

    configuration = load_configuration(comm, config, overrides=overrides)
    on_root(comm, lambda: _check_writable(summary))
    if resume:
        start = checkpoint.resume(comm, configuration, is_optional=resume == "auto")
    else:
        start = checkpoint.begin(comm, configuration)
    initial = None if start.checkpoint else make_initial_state(comm, configuration)
    with phase_timers(comm, phases) as timers:
        publisher = None if no_stream else open_stream_observer(comm, configuration, start, timers)
        observers: list[Observer] = []
        if comm.rank == 0:
            _announce(configuration, comm.size, start)
            observers.append(make_progress(configuration.run.steps))
        taken = run_simulation(
            comm,
            configuration,
            initial,
            observers,
            start=start,
            publisher=publisher,
            note=_note,
            timers=timers,
        )
    if comm.rank == 0:
        stream = publisher.summary if publisher else None
        _report(taken, stream)
        if summary is not None:
            _write_summary(summary, configuration, comm.size, start.attempt, taken, stream)
    if not taken.stopped:
        return 0
    if taken.is_refused:
        has_one, step = taken.checkpoint >= 0, taken.checkpoint
        kept = f"the checkpoint of step {step} is kept" if has_one else "there is no checkpoint"
        raise LockstreamError(f"{taken.stopped}; cure that, then start it with --resume; {kept}")
    if taken.checkpoint < 0:
        raise LockstreamError(f"{taken.stopped}, and there is no checkpoint to go on from")
    return STOPPED


def _note(text: str) -> None:
    click.echo(f"lockstream: {text}", err=True)


def make_progress(steps: int) -> Observer:
    """Make an observer that shows how far the run is: a bar on a terminal, plain lines elsewhere."""
    return _Bar(steps) if sys.stdout.isatty() else _Lines(steps)


class _Lines:
    """Prints a line for every tenth of the run."""

    def __init__(self, steps: int) -> None:
        self._steps, self._tenths = steps, 0

    def observe(self, snapshot: Snapshot) -> None:
        if (tenths := 10 * snapshot.step // self._steps) > self._tenths:
            self._tenths = tenths
            click.echo(f"step {snapshot.step} of {self._steps}, t = {snapshot.time:.6g}")

    def close(self, error: BaseException | None) -> None:
        pass


class _Bar:
    def __init__(self, steps: int) -> None:
        from rich.progress import Progress

        self._progress = Progress(transient=True)
        self._task = self._progress.add_task("computing", total=steps)
        self._progress.start()

    def observe(self, snapshot: Snapshot) -> None:
        self._progress.update(self._task, completed=snapshot.step)

    def close(self, error: BaseException | None) -> None:
        self._progress.stop()


def _announce(configuration: Configuration, ranks: int, start: Start) -> None:
    from lockstream.mpi_jobs.config import decompose

    run, domain = configuration.run, configuration.domain
    size, grid = (" x ".join(map(str, pair)) for pair in (domain.shape, decompose(configuration, ranks).grid))
    click.echo(f"{run.id}: {run.model}, {size} {domain.dtype}, {run.steps} steps on {grid} ranks")
    for text in start.notes:
        _note(text)
    if start.attempt:
        click.echo(f"attempt {start.attempt}, from step {start.progress.step} on")


def _report(taken: RunSummary, stream: StreamSummary | None) -> None:
    rate, share = taken.updates / taken.seconds, taken.observing_seconds / taken.seconds
    if taken.stopped:
        goes_on = "" if taken.is_refused else "; the same command with --resume goes on"
        click.echo(f"stopped at step {taken.last_step}: {taken.stopped}{goes_on}")
    click.echo(f"{taken.steps} steps in {taken.seconds:.3g} s, {rate:.3g} element updates per second")
    if stream is not None:
        click.echo(
            f"{stream.accepted} steps published, {stream.acknowledged} acknowledged by Kafka, "
            f"{stream.bytes / 1e6:.4g} MB; the last acknowledgement took {taken.closing_seconds:.2g} s more"
        )
        _report_outage(stream)
    published = (
        f", of it {stream.publish_seconds:.2g} s publishing, {stream.wait_seconds:.2g} s of these waiting for room"
        if stream is not None
        else ""
    )
    click.echo(f"being observed took {taken.observing_seconds:.2g} s, {share:.1%} of the run{published}")
    if taken.slowdown is not None:
        click.echo(f"in all it took {taken.slowdown:.1%} longer than its unobserved steps alone would have")


def _report_outage(stream: StreamSummary) -> None:
    """Say where steps went that Kafka did not take at once."""
    if stream.spilled:
        click.echo(f"{stream.spilled} steps went through the spool, {stream.spooled} of them are still there")
    if stream.dropped:
        click.echo(f"{stream.dropped} steps were dropped; the stream has a gap for each")
    if stream.throttled_seconds:
        click.echo(f"Kafka held its quota against us for {stream.throttled_seconds:.3g} s in all")
    if stream.wait_seconds > 0.01:
        click.echo(f"the longest wait of a step for room was {stream.longest_wait_seconds:.3g} s")


def _write_summary(
    path: Path,
    configuration: Configuration,
    ranks: int,
    attempt: int,
    taken: RunSummary,
    stream: StreamSummary | None,
) -> None:
    import msgspec

    run: dict[str, Any] = {
        "run": configuration.run.id,
        "model": configuration.run.model,
        "ranks": ranks,
        "attempt": attempt,
    }
    told = run | asdict(taken) | {"stream": msgspec.to_builtins(stream)}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")


def _check_writable(summary: Path | None) -> None:
    """Find out before the run, not after it."""
    from lockstream.bridge.errors import ConfigurationError

    if summary is not None and not (summary.parent.is_dir() and os.access(summary.parent, os.W_OK)):
        raise ConfigurationError("--summary", str(summary), "cannot be written; name a folder that exists")
