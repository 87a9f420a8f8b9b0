"""What the ranks had is what the archive shows: every dtype, any decomposition, several streams at once."""

import sys
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from support import decomposed_program
from support.decomposed_program import fields, whole
from support.kafka_logs import follow, options, verified
from support.programs import mpirun

from lockstream.bridge import Block, Field, open_stream
from lockstream.kafka import open_run
from lockstream.kafka.broker import BrokerInfo

TESTS = Path(decomposed_program.__file__).parents[1]
STEPS = 7


def stream(broker: BrokerInfo, ranks: int, *words: str) -> None:
    env = {
        "LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "PYTHONPATH": str(TESTS),
    }
    program = ["-m", "mpi4py", "-m", "support.decomposed_program", *words]
    done = mpirun(ranks, sys.executable, *program, env=env)
    assert (done.returncode, done.stderr) == (0, "")


def assert_shows_the_program(folder: Path, ranks: int) -> None:
    with open_run(folder) as run:
        assert run["step"].values.tolist() == list(range(STEPS))
        assert run["time"].values.tolist() == [step / 4 for step in range(STEPS)]
        assert run["ranks"].values.tolist() == [ranks] * STEPS
        for field in fields():
            shown = run[field.name]
            assert shown.dtype == np.dtype(field.dtype)
            assert shown.dims == ("step", *(axis.name for axis in field.axes))
            assert (shown.attrs["units"], shown.attrs["long_name"]) == ("K", field.long_name)
            for axis in field.axes:
                assert run[axis.name].attrs["units"] == "m"
            values = shown.values
            for step in range(STEPS):
                assert values[step].tobytes() == whole(field, folder.name, step).tobytes(), (field, step)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_fields_of_every_kind_arrive_as_they_were(
    broker: BrokerInfo, run_id: str, tmp_path: Path, ranks: int
) -> None:
    stream(broker, ranks, run_id, str(STEPS))
    follow(broker, tmp_path, run_id)
    result = verified(broker, tmp_path / run_id)
    assert (result.steps, result.status) == (STEPS, "completed")
    assert_shows_the_program(tmp_path / run_id, ranks)


def test_groups_of_ranks_stream_runs_of_their_own_at_the_same_time(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    stream(broker, 4, run_id, str(STEPS), "2")
    runs = [f"{run_id}-{group}" for group in range(2)]
    follow(broker, tmp_path, *runs)
    for run in runs:
        assert verified(broker, tmp_path / run).steps == STEPS
        assert_shows_the_program(tmp_path / run, ranks=2)


def test_one_rank_may_lead_two_streams(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    """Of steps that come at different rates; the second goes on when the first has ended."""
    field, runs = Field("u", (4, 3), "f8"), [f"{run_id}-often", f"{run_id}-rarely"]
    often, rarely = (
        open_stream(MPI.COMM_SELF, run=run, fields=[field], kafka=options(broker)) for run in runs
    )
    with rarely:
        with often:
            for step in range(6):
                blocks = {"u": Block(np.full((4, 3), step, "f8"), (0, 0))}
                often.publish(step, time=step, blocks=blocks)
                if step % 3 == 0:
                    rarely.publish(step, time=step, blocks=blocks)
        rarely.publish(100, time=100, blocks={"u": Block(np.full((4, 3), 100.0), (0, 0))})
    follow(broker, tmp_path, *runs)
    for run, steps in zip(runs, ([0, 1, 2, 3, 4, 5], [0, 3, 100]), strict=True):
        verified(broker, tmp_path / run)
        with open_run(tmp_path / run) as shown:
            assert shown["step"].values.tolist() == steps
            assert shown["u"].isel(y=0, x=0).values.tolist() == steps
