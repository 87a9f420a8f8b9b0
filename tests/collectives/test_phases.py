"""Phase timers on all ranks: clocks compared, files written together, and a whole simulation timed."""

from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lockstream.bridge.errors import UserError
from lockstream.bridge.settings import convert
from lockstream.mpi_jobs import clocks
from lockstream.mpi_jobs.config import Configuration
from lockstream.mpi_jobs.initial import make_initial_state
from lockstream.mpi_jobs.phases import phase_timers
from lockstream.mpi_jobs.simulation import run_simulation
from lockstream.profiling.phases.meetings import critical_path, find_arrivals
from lockstream.profiling.phases.run import read_run

if TYPE_CHECKING:
    from mpi4py import MPI


@pytest.fixture
def folder(comm: "MPI.Intracomm") -> Path:
    """A folder that all ranks know; those of pytest are each rank's own."""
    return Path(comm.bcast(mkdtemp(prefix="lockstream-phases-")))


def test_a_clock_that_is_wrong_is_found_to_be(comm: "MPI.Intracomm", monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = comm.rank * 10**12
    right = clocks.perf_counter_ns
    monkeypatch.setattr(clocks, "perf_counter_ns", lambda: right() + wrong)
    reading = clocks.compare_clocks(comm)
    assert abs(reading.offset + wrong) <= reading.uncertainty + 1  # one machine has one clock
    assert reading.uncertainty < 10**12 / 2


def test_all_ranks_leave_their_phases_and_they_are_one_run(comm: "MPI.Intracomm", folder: Path) -> None:
    given = folder if comm.rank == 0 else None  # a launcher may hand the environment to rank 0 alone
    with phase_timers(comm, given, environ={}) as timers:
        work, meet = timers.phase("work"), timers.phase("wait")
        for timers.step in range(3):
            with work:
                np.ones(1000).sum()
            with meet:
                comm.Barrier()
    comm.Barrier()
    run = read_run(folder)
    assert len(run.ranks) == comm.size
    for line in run.ranks:
        assert line.step.tolist() == [0, 0, 1, 1, 2, 2]
    # Nobody leaves a barrier before the last one has come: on one clock that can be seen.
    for n in range(1, 6, 2):
        last = max(int(line.begin[n]) for line in run.ranks)
        assert all(line.end[n] >= last - 2 * line.uncertainty for line in run.ranks)


def test_a_folder_that_cannot_be_is_told_to_all(comm: "MPI.Intracomm", folder: Path) -> None:
    if comm.rank == 0:
        (folder / "file").touch()
    with pytest.raises(UserError, match="LOCKSTREAM_PHASES"), phase_timers(comm, folder / "file"):
        raise AssertionError("it began")


def test_a_simulation_tells_its_phases(comm: "MPI.Intracomm", folder: Path) -> None:
    tables = {
        "run": {"id": "timed", "model": "heat", "steps": 20},
        "domain": {"shape": [16, 16]},
        "stream": {"every": 5},
        "checkpoint": {"folder": str(folder / "checkpoints"), "every": 10},
    }
    configuration = convert(tables, Configuration)
    with phase_timers(comm, folder) as timers:
        run_simulation(comm, configuration, make_initial_state(comm, configuration), [], timers=timers)
    comm.Barrier()
    run = read_run(folder)
    assert set(run.names) == {"compute", "halo", "reduce", "wait", "checkpoint"}
    numbers = {name: number for number, name in enumerate(run.names)}
    for line in run.ranks:
        steps = {name: line.step[line.phase == number].tolist() for name, number in numbers.items()}
        assert steps["halo"] == list(range(20))
        assert steps["reduce"] == [0, 5, 10, 15, 20]
        assert set(steps["checkpoint"]) == {10, 20}
        assert sorted(set(steps["compute"])) == list(range(21))
        assert (line.begin[1:] >= line.end[:-1]).all()
    assert sum(critical_path(run, find_arrivals(run)).values()) == run.duration
