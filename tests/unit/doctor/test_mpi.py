"""What ranks say of the world they find themselves in, and what the doctor makes of it."""

import json

from lockstream.cli.checks.finding import State
from lockstream.cli.checks.mpi import check_mpi, judge


def _ranks(size: int, library: str = "MPICH Version: 5.0.2") -> str:
    return 2 * (json.dumps({"size": size, "library": library.split(), "host": "n1", "cores": 4}) + "\n")


def test_two_ranks_that_know_each_other_are_well() -> None:
    finding = judge("mpirun", 0, _ranks(2), "")
    assert finding.state is State.OK
    assert "MPICH Version: 5.0.2" in finding.found


def test_a_launcher_of_another_mpi_makes_two_worlds_of_one() -> None:
    finding = judge("/usr/bin/mpirun", 0, _ranks(1), "")
    assert finding.state is State.FAULT
    assert "/usr/bin/mpirun started 2 tasks, and each finds itself in a world of 1" in finding.found
    assert "only one of the wheels" in finding.cure


def test_open_mpi_as_root_is_told_apart() -> None:
    finding = judge("mpirun", 1, "", "mpirun has detected ... --allow-run-as-root option ...")
    assert finding.state is State.FAULT
    assert "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1" in finding.cure


def test_whatever_else_fails_is_shown() -> None:
    finding = judge("mpirun", 2, "", "no\n  such   thing")
    assert (finding.state, finding.found) == (State.FAULT, "mpirun failed: no such thing")


def test_a_launcher_that_is_not_there() -> None:
    *_, last = check_mpi("/nowhere/mpirun")
    assert last.state is State.FAULT
    assert "/nowhere/mpirun -n 2 hostname" in last.cure
