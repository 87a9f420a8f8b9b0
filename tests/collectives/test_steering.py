"""Orders take effect on all ranks at the same step, and the ranks compute the same as one alone."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lockstream.bridge.control import Command, make_command
from lockstream.bridge.settings import convert
from lockstream.mpi_jobs.collect import gather_field, scatter_field
from lockstream.mpi_jobs.config import Configuration, decompose
from lockstream.mpi_jobs.initial import make_initial_state
from lockstream.mpi_jobs.orders import exchange_orders, take_orders
from lockstream.mpi_jobs.solver import Solver
from lockstream.mpi_jobs.steering import Steering

if TYPE_CHECKING:
    from mpi4py import MPI

STEPS = 20
SENT: dict[int, list[tuple[Any, str, Any]]] = {  # what arrives on rank 0 before which step
    4: [("set", "model.F", 0.05), ("set", "model.Dv", 2e-5)],
    9: [("set", "model.F", -1.0), ("every", "", 7)],
    12: [("pause", "", None)],
    15: [("stop", "", None)],
}


def configuration() -> Configuration:
    return convert(
        {
            "run": {"id": "r", "model": "gray-scott", "steps": STEPS},
            "domain": {"shape": [24, 20], "spacing": [0.01, 0.01]},
            "steering": {"enabled": True},
        },
        Configuration,
    )


def arrived(comm: "MPI.Intracomm", step: int) -> list[Command]:
    if comm.rank != 0:
        return []
    return [make_command("r", name, key=key, value=value) for name, key, value in SENT.get(step, [])]


def run(comm: "MPI.Intracomm") -> tuple[list[tuple[Any, ...]], "np.ndarray[Any, Any] | None", list[Any]]:
    """Steer a run; return what this rank knew at each step, the gathered field, and rank 0's records."""
    given = configuration()
    decomposition = decompose(given, comm.size)
    steering, seen, records = Steering(given), [], []
    initial = make_initial_state(comm, given)

    def fill(blocks: Mapping[str, Any]) -> None:
        for name, block in blocks.items():
            scatter_field(comm, decomposition, initial[name] if initial else None, block)

    with Solver(comm, decomposition, given.domain, steering.model, fill) as solver:
        for step in range(STEPS):
            decision = exchange_orders(comm, steering, arrived(comm, step), step)
            records += decision.records
            assert decision.orders is None or decision.orders.step == step
            solver.model = steering.model
            seen.append(
                (dict(steering.configuration.model), steering.every, steering.is_paused, steering.stop)
            )
            if steering.stop:
                break
            solver.advance()
        return seen, gather_field(comm, decomposition, solver.blocks["u"]), records


def test_all_ranks_know_the_same_at_every_step_and_compute_the_same(comm: "MPI.Intracomm") -> None:
    from mpi4py import MPI

    seen, field, records = run(comm)
    alone, expected, _ = run(MPI.COMM_SELF)
    assert all(other == seen for other in comm.allgather(seen))
    assert seen == alone
    assert [step for step in range(1, len(seen)) if seen[step] != seen[step - 1]] == [4, 9, 12, 15]
    assert len(seen) == 16
    assert seen[8][0]["F"] == 0.05
    assert [seen[step][1] for step in (8, 9)] == [1, 7]
    if comm.rank == 0:
        assert [(record.command, record.step, bool(record.refused)) for record in records] == [
            ("set", 4, False),
            ("set", 4, False),
            ("set", 9, True),
            ("every", 9, False),
            ("pause", 12, False),
            ("stop", 15, False),
        ]
        assert field is not None
        assert expected is not None
        assert field.tobytes() == expected.tobytes()
    else:
        assert records == []


def test_without_commands_nothing_is_ordered(comm: "MPI.Intracomm") -> None:
    steering = Steering(configuration())
    model = steering.model
    for step in range(10):
        assert exchange_orders(comm, steering, [], step) == (None, [])
    assert steering.model is model


def test_refusals_alone_are_no_orders(comm: "MPI.Intracomm") -> None:
    steering = Steering(configuration())
    commands = [make_command("r", "resume")] if comm.rank == 0 else []
    orders, records = exchange_orders(comm, steering, commands, 3)
    assert orders is None
    assert [record.refused for record in records] == ["the run is not paused"] * (comm.rank == 0)


def test_a_paused_run_holds_on_all_ranks_until_it_is_resumed(comm: "MPI.Intracomm") -> None:
    steering = Steering(configuration())
    script = [["pause"], [], ["checkpoint"], [], ["resume"], ["never asked for"]]

    def commands() -> list[Command]:
        assert comm.rank == 0
        return [make_command("r", name) for name in script.pop(0)]  # type: ignore[arg-type]

    held = [turn.orders for turn in take_orders(comm, steering, commands, 3, look_seconds=0.0)]
    assert [orders is not None for orders in held] == [True, False, True, False, True]
    assert [orders.checkpoint for orders in held if orders] == [False, True, False]
    assert not steering.is_paused
    if comm.rank == 0:
        assert script == [["never asked for"]]


def test_a_run_that_is_not_paused_has_one_turn(comm: "MPI.Intracomm") -> None:
    steering = Steering(configuration())
    assert list(take_orders(comm, steering, list, 3)) == [(None, [])]


def test_a_paused_run_can_be_stopped(comm: "MPI.Intracomm") -> None:
    steering = Steering(configuration())
    script = [["pause"], ["stop"]]
    turns = list(
        take_orders(comm, steering, lambda: [make_command("r", name) for name in script.pop(0)], 3, 0.0)  # type: ignore[arg-type]
    )
    assert len(turns) == 2
    assert steering.stop.startswith("stopped by ")
