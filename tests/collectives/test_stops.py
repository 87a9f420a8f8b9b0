"""The time loop with a bridge that accepts, refuses and steers: what is published, written and continued."""

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lockstream.bridge.control import Command, make_command
from lockstream.bridge.errors import StreamStopped
from lockstream.bridge.gather import Block
from lockstream.bridge.messages import Steered
from lockstream.bridge.settings import convert
from lockstream.mpi_jobs import checkpoint
from lockstream.mpi_jobs.collect import gather_field
from lockstream.mpi_jobs.config import Configuration, decompose
from lockstream.mpi_jobs.initial import make_initial_state
from lockstream.mpi_jobs.observers import StreamObserver
from lockstream.mpi_jobs.simulation import RunSummary, run_simulation

if TYPE_CHECKING:
    from mpi4py import MPI

STEPS, EVERY = 60, 10


@pytest.fixture
def folder(comm: "MPI.Intracomm") -> Iterator[Path]:
    """One folder for all ranks."""
    made = tempfile.mkdtemp(prefix="lockstream-stops-") if comm.rank == 0 else None
    yield Path(comm.bcast(made))
    comm.Barrier()
    if made:
        shutil.rmtree(made)


@dataclass
class Bridge:
    """Stands where the stream does: accepts steps, up to one that it refuses; brings commands."""

    comm: "MPI.Intracomm"
    configuration: Configuration
    refuses: int = -1
    at: Mapping[int, Callable[[], None]] = field(default_factory=dict)
    turns: list[list[Command]] = field(default_factory=list)
    between: Callable[[], None] = lambda: None
    frames: dict[int, bytes] = field(default_factory=dict)
    records: list[Steered] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    is_safe: bool = True

    def publish(self, step: int, *, time: float, blocks: Mapping[str, Block], diagnostics: Any) -> None:
        if step == self.refuses:
            raise StreamStopped(f"step {step} was not accepted")
        decomposition = decompose(self.configuration, self.comm.size)
        whole = [gather_field(self.comm, decomposition, block.data) for block in blocks.values()]
        self.frames[step] = b"".join(field.tobytes() for field in whole if field is not None)
        self.at.get(step, lambda: None)()

    def sync(self, _timeout: float) -> bool:
        return self.is_safe

    def commands(self) -> list[Command]:
        self.between()
        return self.turns.pop(0) if self.turns else []

    def record(self, message: Steered) -> None:
        self.records.append(message)

    def close(self, status: str, *_: object) -> None:
        self.closed.append(status)


def configure(folder: Path, **tables: dict[str, Any]) -> Configuration:
    given: dict[str, Any] = {
        "run": {"id": "r", "model": "gray-scott", "steps": STEPS},
        "domain": {"shape": [13, 10], "spacing": [0.01, 0.01]},
        "stream": {"every": EVERY},
        "checkpoint": {"folder": str(folder)},
    }
    for key, table in tables.items():
        given[key] = given.get(key, {}) | table
    return convert(given, Configuration)


def go(bridge: Bridge, start: checkpoint.Start, notes: list[str] | None = None) -> RunSummary:
    comm, given = bridge.comm, bridge.configuration
    initial = None if start.checkpoint else make_initial_state(comm, given)
    observer = StreamObserver(cast(Any, bridge), ["u", "v"])
    note = (notes if notes is not None else []).append
    return run_simulation(comm, given, initial, [], start=start, publisher=observer, note=note)


def uninterrupted(comm: "MPI.Intracomm", folder: Path) -> dict[int, bytes]:
    bridge = Bridge(comm, configure(folder / "whole"))
    assert go(bridge, checkpoint.begin(comm, bridge.configuration)).stopped == ""
    assert (list(bridge.frames), bridge.closed) == (list(range(0, STEPS + 1, EVERY)), ["completed"])
    return bridge.frames


@pytest.mark.parametrize("refused", range(0, STEPS + 1, EVERY))
def test_a_step_that_was_refused_is_the_first_of_the_next_attempt(
    comm: "MPI.Intracomm", folder: Path, refused: int
) -> None:
    given = configure(folder)
    first = Bridge(comm, given, refuses=refused)
    taken = go(first, checkpoint.begin(comm, given))
    assert (taken.stopped, taken.checkpoint) == (f"step {refused} was not accepted", refused)
    assert (list(first.frames), first.closed) == (list(range(0, refused, EVERY)), ["stopped"])
    start = checkpoint.resume(comm, given, is_optional=False)
    assert start.attempt == 1
    assert start.progress == (
        refused,
        start.progress.time,
        refused - EVERY if refused else -1,
        refused // EVERY,
    )
    second = Bridge(comm, given)
    assert go(second, start).stopped == ""
    assert list(second.frames) == list(range(refused, STEPS + 1, EVERY))
    assert first.frames | second.frames == uninterrupted(comm, folder)


@pytest.mark.parametrize("stopped_at", [0, 20, 50])
def test_a_run_stopped_by_a_signal_to_one_rank_goes_on_bit_for_bit(
    comm: "MPI.Intracomm", folder: Path, stopped_at: int
) -> None:
    given = configure(folder)
    whole = uninterrupted(comm, folder)
    for target in range(comm.size):

        def hear(target: int = target) -> None:
            if comm.rank == target:
                signal.raise_signal(signal.SIGTERM)

        given = configure(folder, run={"id": f"r{target}"})
        first = Bridge(comm, given, at={stopped_at: hear})
        taken = go(first, checkpoint.begin(comm, given))
        assert (taken.stopped, taken.last_step) == ("stopped by SIGTERM", stopped_at + 1)
        second = Bridge(comm, given)
        go(second, checkpoint.resume(comm, given, is_optional=False))
        assert list(second.frames) == list(range(stopped_at + EVERY, STEPS + 1, EVERY))
        assert first.frames | second.frames == whole


def test_handlers_are_there_only_while_the_loop_is(comm: "MPI.Intracomm", folder: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)]
    uninterrupted(comm, folder)
    assert [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM)] == before


def commands(comm: "MPI.Intracomm", *names: Any) -> list[Command]:
    return [make_command("r", name) for name in names] if comm.rank == 0 else []


def test_a_paused_run_writes_the_checkpoint_that_a_signal_asks_for(
    comm: "MPI.Intracomm", folder: Path
) -> None:
    given = configure(folder, steering={"enabled": True}, checkpoint={"on_usr1": "continue", "keep": 9})
    looks = 0

    def between() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:  # rank 0 looks for commands; it is paused since the first look
            signal.raise_signal(signal.SIGUSR1)

    turns = [commands(comm, "pause"), [], [], [], [], [], commands(comm, "resume")]
    bridge = Bridge(comm, given, turns=turns, between=between)
    taken = go(bridge, checkpoint.begin(comm, given))
    assert (taken.stopped, taken.checkpoint) == ("", 0)
    assert list(bridge.frames) == list(range(0, STEPS + 1, EVERY))


def test_a_paused_run_is_stopped_by_a_signal(comm: "MPI.Intracomm", folder: Path) -> None:
    given = configure(folder, steering={"enabled": True})
    looks = 0

    def between() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            signal.raise_signal(signal.SIGTERM)

    bridge = Bridge(comm, given, turns=[commands(comm, "pause")], between=between)
    taken = go(bridge, checkpoint.begin(comm, given))
    assert (taken.stopped, taken.last_step, taken.checkpoint) == ("stopped by SIGTERM", 0, 0)


def test_a_checkpoint_that_was_ordered_and_could_not_be_written_is_said_to_be_refused(
    comm: "MPI.Intracomm", folder: Path
) -> None:
    given = configure(folder, steering={"enabled": True})
    notes: list[str] = []
    bridge = Bridge(comm, given, turns=[commands(comm, "checkpoint", "pause", "resume")], is_safe=False)
    taken = go(bridge, checkpoint.begin(comm, given), notes)
    assert taken.checkpoint == -1
    if comm.rank == 0:
        refused = {record.command: record.refused for record in bridge.records}
        assert "neither acknowledged" in refused.pop("checkpoint")
        assert refused == {"pause": "", "resume": ""}
    assert ["the older ones stay" in note for note in notes] == [True] * (comm.rank == 0)


def test_the_same_state_is_not_written_twice(
    comm: "MPI.Intracomm", folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordered, due and stopped at the same step: one checkpoint."""
    written: list[int] = []
    write = checkpoint.CheckpointWriter.write

    def counted(self: Any, progress: checkpoint.Progress, *more: Any) -> str:
        written.append(progress.step)
        return write(self, progress, *more)

    monkeypatch.setattr(checkpoint.CheckpointWriter, "write", counted)
    given = configure(folder, steering={"enabled": True}, checkpoint={"every": 3})
    turns = [[], [], [], commands(comm, "checkpoint", "stop")]
    taken = go(Bridge(comm, given, turns=turns), checkpoint.begin(comm, given))
    assert (taken.last_step, taken.checkpoint, written) == (3, 3, [3])
