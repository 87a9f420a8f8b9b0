"""Checkpoints by all ranks: written by some, read by others, agreed upon by everybody."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lockstream.bridge.errors import ConfigurationError, UserError
from lockstream.bridge.settings import convert
from lockstream.mpi_jobs import checkpoint
from lockstream.mpi_jobs.checkpoint import CheckpointWriter, Progress
from lockstream.mpi_jobs.config import CheckpointSettings, Configuration, decompose
from lockstream.mpi_jobs.errors import NoCheckpoint
from lockstream.mpi_jobs.requests import Request, Requests

if TYPE_CHECKING:
    from mpi4py import MPI

SHAPE = (13, 10)
WHOLE = {name: np.random.default_rng(n).random(SHAPE, dtype=np.float32) for n, name in enumerate("uv")}


@pytest.fixture
def folder(comm: "MPI.Intracomm") -> Iterator[Path]:
    """One folder for all ranks."""
    made = tempfile.mkdtemp(prefix="lockstream-checkpoints-") if comm.rank == 0 else None
    yield Path(comm.bcast(made))
    comm.Barrier()
    if made:
        shutil.rmtree(made)


def configure(folder: Path, **tables: dict[str, Any]) -> Configuration:
    given: dict[str, Any] = {
        "run": {"id": "r", "model": "gray-scott", "steps": 100},
        "domain": {"shape": list(SHAPE), "spacing": [0.01, 0.01]},
        "checkpoint": {"folder": str(folder)},
    }
    for key, table in tables.items():
        given[key] = given.get(key, {}) | table
    return convert(given, Configuration)


def write(comm: "MPI.Intracomm", given: Configuration, step: int, *, is_safe: bool = True) -> str:
    block = decompose(given, comm.size).block(comm.rank)
    writer = CheckpointWriter(comm, given, 0, lambda _timeout: is_safe)
    blocks = {name: whole[block.slices] for name, whole in WHOLE.items()}
    return writer.write(Progress(step, step / 2, step, step // 10 + 1), given, blocks)


def assert_reads(comm: "MPI.Intracomm", given: Configuration, start: checkpoint.Start) -> None:
    block = decompose(given, comm.size).block(comm.rank)
    found = {name: np.zeros(block.shape, np.float32) for name in WHOLE}
    checkpoint.read_blocks(comm, start, found)
    for name, whole in WHOLE.items():
        assert found[name].tobytes() == whole[block.slices].tobytes()


def test_what_all_wrote_any_number_of_ranks_reads(comm: "MPI.Intracomm", folder: Path) -> None:
    given = configure(folder)
    assert write(comm, given, 40) == ""
    for size in range(1, comm.size + 1):
        some = comm.Split(0 if comm.rank < size else 1)
        if comm.rank < size:
            start = checkpoint.resume(some, given, is_optional=False)
            assert start.progress == (40, 20.0, 40, 5)
            assert_reads(some, given, start)
        some.Free()
        comm.Barrier()


def test_the_grid_may_change(comm: "MPI.Intracomm", folder: Path, grids: list[tuple[int, int]]) -> None:
    for first, second in zip(grids, reversed(grids), strict=True):
        assert write(comm, configure(folder, domain={"grid": list(first)}), 40) == ""
        changed = configure(folder, domain={"grid": list(second)})
        assert_reads(comm, changed, checkpoint.resume(comm, changed, is_optional=False))


@pytest.mark.parametrize("is_account", [True, False])
def test_a_damaged_one_is_passed_over_for_the_one_before(
    comm: "MPI.Intracomm", folder: Path, is_account: bool
) -> None:
    name = "checkpoint.json" if is_account else f"rank-{comm.size - 1}.h5"
    given = configure(folder)
    for step in (20, 40):
        assert write(comm, given, step) == ""
    if comm.rank == 0:
        path = folder / "r" / "step-40" / name
        content = path.read_bytes()
        path.write_bytes(content.replace(b'"time": 20.0', b'"time": 20.5') if is_account else content[:-300])
    comm.Barrier()
    start = checkpoint.resume(comm, given, is_optional=False)
    assert (start.progress.step, start.attempt) == (20, 1)
    assert len(start.notes) == 1
    assert name in start.notes[0]
    assert_reads(comm, given, start)


def test_it_is_valid_only_when_what_was_published_is_safe(comm: "MPI.Intracomm", folder: Path) -> None:
    given = configure(folder)
    assert write(comm, given, 20) == ""
    assert "neither acknowledged" in write(comm, given, 40, is_safe=False)
    assert checkpoint.resume(comm, given, is_optional=False).progress.step == 20


def test_a_disk_that_fails_is_told_on_all_ranks(comm: "MPI.Intracomm", folder: Path) -> None:
    given = configure(folder / "file")
    if comm.rank == 0:
        (folder / "file").write_text("in the way")
    comm.Barrier()
    assert "NotADirectoryError" in write(comm, given, 20)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"domain": {"shape": [13, 11]}}, "domain.shape"),
        ({"domain": {"dtype": "float64"}}, "domain.dtype"),
        ({"model": {"pattern": "mu"}}, "model.pattern"),
        ({"run": {"seed": 3}}, "run.seed"),
        ({"run": {"model": "heat"}}, "run.model"),
        ({"stream": {"fields": ["u"]}}, "stream.fields"),
    ],
)
def test_another_simulation_is_refused_by_the_key_that_differs(
    comm: "MPI.Intracomm", folder: Path, change: dict[str, dict[str, Any]], key: str
) -> None:
    assert write(comm, configure(folder), 40) == ""
    with pytest.raises(UserError, match=key):
        checkpoint.resume(comm, configure(folder, **change), is_optional=False)


def test_what_may_change_may(comm: "MPI.Intracomm", folder: Path) -> None:
    assert write(comm, configure(folder), 40) == ""
    changed = configure(folder, run={"steps": 500}, stream={"every": 7}, kafka={"client.id": "x"})
    start = checkpoint.resume(comm, changed, is_optional=False)
    assert (start.configuration.stream.every, start.configuration.run.steps) == (7, 500)


def test_where_there_is_none(comm: "MPI.Intracomm", folder: Path) -> None:
    given = configure(folder)
    with pytest.raises((NoCheckpoint, UserError), match="no sound checkpoint"):
        checkpoint.resume(comm, given, is_optional=False)
    assert [checkpoint.resume(comm, given, is_optional=True).attempt for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("is_optional", [True, False])
def test_where_all_are_damaged_people_decide(comm: "MPI.Intracomm", folder: Path, is_optional: bool) -> None:
    given = configure(folder)
    for step in (20, 40):
        assert write(comm, given, step) == ""
    if comm.rank == 0:
        for step in (20, 40):
            (folder / "r" / f"step-{step}" / "checkpoint.json").write_text("{}")
    comm.Barrier()
    with pytest.raises(
        (NoCheckpoint, UserError), match=r"step-40 is damaged.*step-20 is damaged.*remove the damaged"
    ):
        checkpoint.resume(comm, given, is_optional=is_optional)


def test_an_attempt_that_died_before_its_first_checkpoint_is_counted(
    comm: "MPI.Intracomm", folder: Path
) -> None:
    given = configure(folder)
    assert checkpoint.begin(comm, given).attempt == 0
    start = checkpoint.resume(comm, given, is_optional=True)
    assert (start.attempt, start.progress) == (1, checkpoint.FRESH)


def test_a_fresh_start_does_not_run_over_checkpoints(comm: "MPI.Intracomm", folder: Path) -> None:
    given = configure(folder, checkpoint={"every": 10})
    assert checkpoint.begin(comm, given).attempt == 0
    assert write(comm, given, 40) == ""
    with pytest.raises((ConfigurationError, UserError), match="--resume"):
        checkpoint.begin(comm, given)
    assert checkpoint.resume(comm, given, is_optional=True).attempt == 1


@pytest.mark.parametrize(
    ("on_usr1", "number", "expected"),
    [
        ("stop", signal.SIGUSR1, "stopped by SIGUSR1"),
        ("stop", signal.SIGTERM, "stopped by SIGTERM"),
        ("continue", signal.SIGUSR1, ""),
    ],
)
def test_a_signal_to_any_rank_is_heard_by_all_at_the_same_step(
    comm: "MPI.Intracomm", on_usr1: Any, number: signal.Signals, expected: str
) -> None:
    for target in range(comm.size):
        heard = []
        with Requests(comm, CheckpointSettings(on_usr1=on_usr1)) as requests:
            for step in range(5):
                if step == 2 and comm.rank == target:
                    signal.raise_signal(number)
                heard.append(requests.exchange())
        assert comm.allgather(heard) == [heard] * comm.size
        assert [request.reason for request in heard] == ["", "", "", expected, ""]
        assert (heard[3] == Request.CHECKPOINT) == (on_usr1 == "continue")


def test_the_clock_asks_for_checkpoints(comm: "MPI.Intracomm") -> None:
    with Requests(comm, CheckpointSettings(seconds=1e-9)) as requests:
        assert [requests.exchange() for _ in range(3)][1:] == [Request.CHECKPOINT] * 2
    with Requests(comm, CheckpointSettings(seconds=1e6)) as requests:
        assert [requests.exchange() for _ in range(3)] == [Request.NOTHING] * 3


def test_one_request_is_one_checkpoint_however_late_a_rank_hears_of_it(comm: "MPI.Intracomm") -> None:
    """A launcher sends a signal to all ranks; some hear it before they exchange what they heard, some after."""
    with Requests(comm, CheckpointSettings(on_usr1="continue")) as requests:
        written = []
        for step in range(8):
            if step == (2 if comm.rank == 0 else 3):
                signal.raise_signal(signal.SIGUSR1)
            if Request.CHECKPOINT in requests.exchange():
                signal.raise_signal(signal.SIGUSR1)  # while it is being written
                written.append(step)
                requests.wrote_checkpoint()
        assert comm.allgather(written) == [[3]] * comm.size


def test_a_request_after_a_checkpoint_is_a_new_one_and_a_stop_is_never_forgotten(
    comm: "MPI.Intracomm",
) -> None:
    with Requests(comm, CheckpointSettings(on_usr1="continue")) as requests:
        requests.exchange()
        signal.raise_signal(signal.SIGTERM)
        requests.exchange()
        requests.wrote_checkpoint()
        signal.raise_signal(signal.SIGUSR1)
        assert requests.exchange() == Request.STOP_BY_TERM
        assert requests.exchange() == Request.CHECKPOINT


def test_the_clock_asks_once_each_time(comm: "MPI.Intracomm", monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("lockstream.mpi_jobs.requests.monotonic", lambda: now)
    with Requests(comm, CheckpointSettings(seconds=10)) as requests:
        written = []
        for step in range(50):
            if Request.CHECKPOINT in requests.exchange():
                written.append(step)
                requests.wrote_checkpoint()
            now += 1.0
        assert written == [11, 22, 33, 44], "ten seconds after the last, and a step to agree"
