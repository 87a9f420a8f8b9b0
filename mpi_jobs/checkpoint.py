"""Checkpoints, written and read by all ranks together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lockstream.bridge.errors import ConfigurationError, LockstreamError
from lockstream.mpi_jobs.checkpoint_files import (
    About,
    Piece,
    check_piece,
    checkpoint_folder,
    covers,
    keep_newest,
    next_attempt,
    read_about,
    read_part,
    seal,
    steps_in,
    tidy,
    unfinished_folder,
    write_piece,
)
from lockstream.mpi_jobs.collect import on_root
from lockstream.mpi_jobs.config import Configuration, decompose
from lockstream.mpi_jobs.decomposition import Array
from lockstream.mpi_jobs.errors import CheckpointDamaged, NoCheckpoint

if TYPE_CHECKING:
    from mpi4py import MPI

CHANGEABLE = frozenset({"kafka", "stream", "checkpoint", "steering", "archive", "analysis", "initial"})
"""Tables that may differ when a run is resumed; so may ``run.steps`` and ``domain.grid``."""


class Progress(NamedTuple):
    """How far a run has come: what a checkpoint says beside the fields.

    Parameters
    ----------
    step, time
        Of the state.
    published, steps
        The last step that the bridge accepted, -1 if none, and how many all attempts together have.
    """

    step: int
    time: float
    published: int
    steps: int


class Start(NamedTuple):
    """Where an attempt begins.

    Parameters
    ----------
    attempt
        Its number.
    progress
        Where the run is; step 0 and nothing published for a fresh start.
    configuration
        In effect, which steering may have changed.
    checkpoint
        The folder to read the state from; None to make an initial one.
    notes
        What people should know, on rank 0.
    """

    attempt: int
    progress: Progress
    configuration: Configuration
    checkpoint: Path | None = None
    notes: tuple[str, ...] = ()


FRESH = Progress(0, 0.0, -1, 0)


class CheckpointWriter:
    """Writes checkpoints of one attempt; collective.

    Parameters
    ----------
    comm
        All ranks.
    configuration
        As it was given.
    attempt
        Which attempt this is.
    is_safe
        Asks, collectively, whether every step that was published is stored or on the disk, within some seconds.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        configuration: Configuration,
        attempt: int,
        is_safe: Callable[[float], bool],
    ) -> None:
        self._comm, self._configuration, self._attempt, self._is_safe = comm, configuration, attempt, is_safe
        self._folder = run_folder(configuration)

    def write(self, progress: Progress, effective: Configuration, blocks: Mapping[str, Array]) -> str:
        """Write one.

        Parameters
        ----------
        progress
            Where the run is.
        effective
            The configuration in effect.
        blocks
            This rank's part of every field, without halo.

        Returns
        -------
        str
            On all ranks, why it is not valid; empty if it is. The older ones are left alone then.
        """
        rank, settings = self._comm.rank, self._configuration.checkpoint
        problem, unfinished, piece = "", self._folder / f".step-{progress.step}", b""
        if rank == 0:
            problem = _problem_of(lambda: unfinished_folder(self._folder, progress.step))
        if problem := self._first_of(problem):
            return problem

        def put() -> None:
            nonlocal piece
            block = decompose(self._configuration, self._comm.size).block(rank)
            piece = msgspec.json.encode(write_piece(unfinished, rank, block, blocks))

        problem = self._first_of(_problem_of(put))
        pieces = self._comm.gather(piece)
        if not problem and not self._is_safe(settings.sync_timeout):
            problem = "steps that were published are neither acknowledged by Kafka nor in the spool"
        if rank == 0 and pieces is not None and not problem:
            about = About(
                run=self._configuration.run.id,
                attempt=self._attempt,
                given=_kept(self._configuration),
                effective=_kept(effective),
                pieces=tuple(msgspec.json.decode(each, type=Piece) for each in pieces),
                **progress._asdict(),
            )
            final = checkpoint_folder(self._folder, progress.step)
            problem = _problem_of(lambda: seal(unfinished, final, about))
            if not problem:
                keep_newest(self._folder, settings.keep, progress.step)
        return self._first_of(problem)

    def _first_of(self, problem: str) -> str:
        return next(filter(None, self._comm.allgather(problem)), "")


def begin(comm: MPI.Intracomm, configuration: Configuration) -> Start:
    """Begin a run from its initial state; collective.

    Raises
    ------
    UserError
        If there are checkpoints of a run of that name: they would be superseded without a word, or if the folder
        for them cannot be written.
    """

    def prepare() -> None:
        folder = run_folder(configuration)
        if steps_in(folder):
            problem = (
                f"{folder} has checkpoints of a run of that name; go on with it (--resume), choose another id, or "
                "remove the folder"
            )
            raise ConfigurationError("run.id", configuration.run.id, problem)
        # Before anything is streamed: an attempt that dies at once is counted too. But nobody who writes no checkpoints
        # needs a folder for them.
        with nullcontext() if configuration.checkpoint.is_periodic else suppress(ConfigurationError):
            _numbered(folder, 0)

    on_root(comm, prepare)
    return Start(0, FRESH, configuration)


def resume(comm: MPI.Intracomm, configuration: Configuration, *, is_optional: bool) -> Start:
    """Go on from the newest checkpoint that is sound, as the next attempt; collective.

    Parameters
    ----------
    comm
        All ranks; there may be another number of them than before.
    configuration
        Must describe the same run.
    is_optional
        Whether to begin from the initial state where there is no checkpoint.

    Raises
    ------
    NoCheckpoint
        If there is none, or none that is sound: what they hold is given up by people, not by a job script.
    ConfigurationError
        If the checkpoint is of something else; the text names the key.
    """
    folder = run_folder(configuration)
    on_root(comm, lambda: tidy(folder))
    steps = comm.bcast(on_root(comm, lambda: steps_in(folder)))
    damaged: list[str] = []
    for step in steps or ():
        about, problem = _sound(comm, checkpoint_folder(folder, step))
        if about is None:
            damaged.append(problem)
            continue
        effective = on_root(comm, lambda about=about: _effective(configuration, about))  # type: ignore[misc]
        number = on_root(comm, lambda about=about: _numbered(folder, about.attempt + 1))  # type: ignore[misc]
        told = comm.bcast(effective and (number, msgspec.to_builtins(effective)))
        progress = Progress(about.step, about.time, about.published, about.steps)
        return Start(
            told[0],
            progress,
            msgspec.convert(told[1], Configuration),
            checkpoint_folder(folder, step),
            tuple(f"{problem}; going on from the one before" for problem in damaged),
        )
    if damaged or not is_optional:
        on_root(comm, lambda: _refuse(folder, damaged))
    number = comm.bcast(on_root(comm, lambda: _numbered(folder, 0)))
    return Start(number or 0, FRESH, configuration)


def read_blocks(comm: MPI.Intracomm, start: Start, blocks: Mapping[str, Array]) -> None:
    """Fill this rank's part of every field from a checkpoint; collective.

    Parameters
    ----------
    comm
        All ranks.
    start
        What `resume` returned, with a checkpoint.
    blocks
        Where the fields go, by name.

    Raises
    ------
    LockstreamError
        On all ranks alike, if it cannot be read after all.
    """
    folder, wanted = start.checkpoint, decompose(start.configuration, comm.size).block(comm.rank)

    def read() -> None:
        if folder is None:
            return
        for piece in read_about(folder).pieces:
            for name, block in blocks.items():
                if (part := read_part(folder, piece, name, wanted)) is not None:
                    place, elements = part
                    y, x = (o - begin for o, begin in zip(place.offset, wanted.offset, strict=True))
                    block[y : y + place.shape[0], x : x + place.shape[1]] = elements

    problem = next(filter(None, comm.allgather(_problem_of(read))), "")
    if problem:
        raise LockstreamError(problem)


def run_folder(configuration: Configuration) -> Path:
    """Return the folder that has the checkpoints of a run."""
    return Path(configuration.checkpoint.folder).expanduser().absolute() / configuration.run.id


def _sound(comm: MPI.Intracomm, folder: Path) -> tuple[About | None, str]:
    """Read a checkpoint through, each rank a share of the files; None and what is wrong if it is not sound."""
    about: About | None = None

    def check() -> None:
        nonlocal about
        about = read_about(folder)
        shape = about.given["domain"]["shape"]
        if not covers(about.pieces, (shape[0], shape[1])):
            raise CheckpointDamaged(folder, "its pieces do not make up the domain")
        for piece in about.pieces[comm.rank :: comm.size]:
            check_piece(folder, piece)

    problem = next(filter(None, comm.allgather(_problem_of(check))), "")
    return (None, problem) if problem else (about, "")


def _effective(configuration: Configuration, about: About) -> Configuration:
    """What is in effect from here on: as it was when the checkpoint was written, except for what was changed.

    Raises
    ------
    ConfigurationError
        If the configuration is not that of the run.
    """
    now = _kept(configuration)
    for table in sorted(set(now) - CHANGEABLE):
        then_table, now_table = about.given.get(table, {}), now[table]
        for key in sorted(set(then_table) | set(now_table)):
            if (table, key) in {("run", "steps"), ("domain", "grid")}:
                continue
            if then_table.get(key) != now_table.get(key):
                problem = (
                    f"the checkpoint is of a run with {then_table.get(key)!r}; a run goes on as it began, choose "
                    "another run.id to begin anew"
                )
                raise ConfigurationError(f"{table}.{key}", now_table.get(key), problem)
    if configuration.run.steps < about.step:
        problem = f"the checkpoint is of step {about.step} already; ask for at least that many"
        raise ConfigurationError("run.steps", configuration.run.steps, problem)
    if now["stream"]["fields"] != about.given.get("stream", {}).get("fields", []):
        problem = "a run publishes the same fields in all attempts; leave them as they were"
        raise ConfigurationError("stream.fields", now["stream"]["fields"], problem)
    every = configuration.stream.every
    if every == about.given.get("stream", {}).get("every"):
        every = about.effective["stream"]["every"]
    stream = msgspec.structs.replace(configuration.stream, every=every)
    return msgspec.structs.replace(configuration, model=about.effective["model"], stream=stream)


def _kept(configuration: Configuration) -> dict[str, Any]:
    """The configuration as plain data, without what may be secret."""
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(configuration))  # as a file has it
    del kept["kafka"], kept["steering"]["secret"]
    return kept


def _numbered(folder: Path, least: int) -> int:
    try:
        return next_attempt(folder, least)
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); name a folder that can be"
        raise ConfigurationError("checkpoint.folder", str(folder.parent), problem) from None


def _refuse(folder: Path, damaged: list[str]) -> None:
    raise NoCheckpoint(folder, damaged)


def _problem_of(action: Callable[[], object]) -> str:
    """Do something that the disk may make impossible; what went wrong, or empty."""
    try:
        action()
    except CheckpointDamaged as error:
        return str(error)
    except (OSError, RuntimeError, MemoryError, KeyError, IndexError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
