"""The whole time loop: the same on any number of ranks, and the same as plain numpy."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support import reference

from lockstream.bridge.settings import convert
from lockstream.mpi_jobs.collect import gather_field
from lockstream.mpi_jobs.config import Configuration, build_model, decompose
from lockstream.mpi_jobs.decomposition import Shape
from lockstream.mpi_jobs.errors import StateNotFinite
from lockstream.mpi_jobs.initial import make_initial_state
from lockstream.mpi_jobs.models.gray_scott import PATTERNS
from lockstream.mpi_jobs.observers import Snapshot
from lockstream.mpi_jobs.simulation import run_simulation

if TYPE_CHECKING:
    from mpi4py import MPI

SPACING = (2.5 / 256, 2.5 / 256)


@dataclass
class Collector:
    """Keeps whole frames on rank 0, and what it was told."""

    comm: "MPI.Intracomm"
    configuration: Configuration
    frames: dict[int, dict[str, np.ndarray[Any, Any]]] = field(default_factory=dict)
    diagnostics: dict[int, dict[str, float]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    closed: list[BaseException | None] = field(default_factory=list)

    def observe(self, snapshot: Snapshot) -> None:
        decomposition = decompose(self.configuration, self.comm.size)
        assert snapshot.offset == decomposition.block(self.comm.rank).offset
        frame = {
            name: gather_field(self.comm, decomposition, block) for name, block in snapshot.blocks.items()
        }
        self.frames[snapshot.step] = {name: whole for name, whole in frame.items() if whole is not None}
        self.diagnostics[snapshot.step] = dict(snapshot.diagnostics)
        self.times.append(snapshot.time)

    def close(self, error: BaseException | None) -> None:
        self.closed.append(error)


def configure(name: str, /, **tables: dict[str, object]) -> Configuration:
    run = {"id": "test", "model": name, "steps": 60, "seed": 4}
    domain = {"shape": [37, 50], "spacing": list(SPACING)}
    given = {"run": run, "domain": domain, "stream": {"every": 20}}
    for key, table in tables.items():
        given[key] = given.get(key, {}) | table
    return convert(given, Configuration)


def run(comm: "MPI.Intracomm", configuration: Configuration) -> Collector:
    collector = Collector(comm, configuration)
    run_simulation(comm, configuration, make_initial_state(comm, configuration), [collector])
    return collector


@pytest.mark.parametrize("model", ["heat", "gray-scott"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fields_are_bitwise_equal_and_diagnostics_to_rounding_on_every_grid(
    comm: "MPI.Intracomm", grids: list[Shape], model: str, dtype: str
) -> None:
    from mpi4py import MPI

    alone = run(MPI.COMM_SELF, configure(model, domain={"dtype": dtype}))
    assert list(alone.frames) == [0, 20, 40, 60]
    for grid in grids:
        together = run(comm, configure(model, domain={"dtype": dtype, "grid": list(grid)}))
        assert together.closed == [None]
        assert together.times == alone.times
        for step, expected in alone.diagnostics.items():
            assert together.diagnostics[step] == pytest.approx(expected, rel=1e-12, abs=0), (grid, step)
        if comm.rank == 0:
            for step, frame in alone.frames.items():
                for name, whole in frame.items():
                    assert np.array_equal(together.frames[step][name], whole), (grid, step, name)


def test_frames_follow_from_one_another_by_an_independent_implementation(comm: "MPI.Intracomm") -> None:
    configuration = configure("gray-scott", domain={"dtype": "float64"}, model={"pattern": "mu", "dt": 1.0})
    frames = run(comm, configuration).frames
    if comm.rank != 0:
        return
    F, k = PATTERNS["mu"]
    for step in (0, 20, 40):
        start, end = frames[step], frames[step + 20]
        expected = reference.gray_scott(
            start["u"], start["v"], 20, F=F, k=k, Du=2e-5, Dv=1e-5, dt=1.0, spacing=SPACING
        )
        assert end["u"] == pytest.approx(expected[0], abs=1e-13)
        assert end["v"] == pytest.approx(expected[1], abs=1e-13)


def test_diagnostics_are_those_of_the_whole_frame(comm: "MPI.Intracomm") -> None:
    configuration = configure("gray-scott")
    collected = run(comm, configuration)
    if comm.rank != 0:
        return
    for step, frame in collected.frames.items():
        expected = {"mass": sum(a.sum(dtype=float) for a in frame.values()) * SPACING[0] * SPACING[1]}
        for name, whole in frame.items():
            wide = whole.astype(float)
            expected |= {
                f"{name}_min": wide.min(),
                f"{name}_max": wide.max(),
                f"{name}_mean": wide.mean(),
                f"{name}_l2": np.sqrt((wide**2).mean()),
            }
        assert collected.diagnostics[step] == pytest.approx(expected, rel=1e-12)


def test_heat_is_conserved(comm: "MPI.Intracomm") -> None:
    diagnostics = run(comm, configure("heat", domain={"dtype": "float64"})).diagnostics
    assert diagnostics[60]["heat"] == pytest.approx(diagnostics[0]["heat"], rel=1e-13)
    assert diagnostics[60]["temperature_l2"] < diagnostics[0]["temperature_l2"]


@pytest.mark.parametrize(
    ("every", "found_at", "shown", "has_spread"), [(1, 3, [0, 1, 2], False), (1000, 128, [0], True)]
)
def test_a_blow_up_stops_all_ranks_with_step_field_and_rank(
    comm: "MPI.Intracomm", every: int, found_at: int, shown: list[int], has_spread: bool
) -> None:
    configuration = configure("gray-scott", run={"steps": 200}, stream={"every": every}, model={"dt": 0.5})
    initial = make_initial_state(comm, configuration)
    if initial is not None:
        # u v² is 1e12, then 1e35, then more than single precision can hold: not finite after three steps.
        initial["v"][36, 49], initial["u"][36, 49] = 1e4, 1e4
    collector = Collector(comm, configuration)
    with pytest.raises(StateNotFinite) as caught:
        run_simulation(comm, configuration, initial, [collector])
    assert (caught.value.step, caught.value.field) == (found_at, "u")
    assert caught.value.rank == (0 if has_spread else comm.size - 1)
    assert list(collector.diagnostics) == shown
    assert collector.closed == [caught.value]
    assert len(set(comm.allgather(str(caught.value)))) == 1


def test_the_state_after_the_last_step_is_checked_even_if_nobody_sees_it(comm: "MPI.Intracomm") -> None:
    configuration = configure("gray-scott", run={"steps": 7}, stream={"every": 100})
    initial = make_initial_state(comm, configuration)
    if initial is not None:
        initial["v"][0, 0] = initial["u"][0, 0] = 1e6
    with pytest.raises(StateNotFinite, match="rank 0 at step 7"):
        run_simulation(comm, configuration, initial, [])


def test_time_is_step_times_dt(comm: "MPI.Intracomm") -> None:
    configuration = configure("heat", run={"steps": 6}, stream={"every": 2})
    dt = build_model(configuration).dt
    assert run(comm, configuration).times == [0.0, 2 * dt, 4 * dt, 6 * dt]
