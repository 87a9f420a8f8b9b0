"""`lockstream simulate` as a user starts it: what it says, how it ends, and that no rank outlives another."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition
from support.programs import LOCKSTREAM, mpirun, run

from lockstream.bridge.messages import Manifest, RunEnded, RunStarted, run_topic
from lockstream.bridge.wire import decode
from lockstream.kafka.broker import BrokerInfo

EXAMPLES = Path(__file__).parents[2] / "examples"
GRAY_SCOTT = """
[run]
id = "gs"
model = "gray-scott"
steps = 40
[domain]
shape = [32, 48]
spacing = [0.01, 0.01]
[stream]
every = 10
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(GRAY_SCOTT)
    return path


def simulate(toml: Path, *options: str, ranks: int = 2) -> subprocess.CompletedProcess[str]:
    return mpirun(ranks, LOCKSTREAM, "simulate", toml, *options)


def settings(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def messages(servers: str, run_id: str) -> Iterator[object]:
    """Everything in a run's topic, decoded, up to its end as it is now."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": run_id, "enable.partition.eof": True})
    try:
        consumer.assign([TopicPartition(run_topic(run_id), 0, 0)])
        _, end = consumer.get_watermark_offsets(TopicPartition(run_topic(run_id), 0), timeout=10)
        for _ in range(end):
            record = consumer.poll(10)
            assert record is not None
            assert record.error() is None
            yield decode(record.headers(), record.value())
    finally:
        consumer.close()


def test_without_a_stream_it_computes_and_tells_what_it_took(toml: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    ended = simulate(toml, "--no-stream", "--summary", str(summary), ranks=3)
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == "gs: gray-scott, 32 x 48 float32, 40 steps on 1 x 3 ranks"
    assert "step 40 of 40" in ended.stdout
    assert sum("element updates per second" in line for line in lines) == 1, "one rank talks"
    told = json.loads(summary.read_text())
    assert (told["run"], told["ranks"], told["steps"], told["snapshots"]) == ("gs", 3, 40, 5)
    assert told["updates"] == 40 * 32 * 48
    assert 0 < told["observing_seconds"] < told["seconds"]
    assert told["stream"] is None


def test_every_step_that_it_publishes_is_acknowledged(
    toml: Path, tmp_path: Path, broker: BrokerInfo, run_id: str
) -> None:
    summary = tmp_path / "summary.json"
    servers = f"kafka.bootstrap.servers={broker.bootstrap_servers}"
    options = settings(f"run.id={run_id}", servers, "stream.fields=['v']")
    ended = simulate(toml, *options, "--summary", str(summary))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "5 steps published, 5 acknowledged by Kafka" in ended.stdout
    stream = json.loads(summary.read_text())["stream"]
    assert (stream["accepted"], stream["acknowledged"], stream["bytes"]) == (5, 5, 5 * 32 * 48 * 4)
    sent = list(messages(broker.bootstrap_servers, run_id))
    assert isinstance(sent[0], RunStarted)
    assert [field.name for field in sent[0].fields] == ["v"]
    assert [axis.spacing for axis in sent[0].fields[0].axes] == [0.01, 0.01]
    assert sent[0].configuration["run"]["model"] == "gray-scott"
    assert "kafka" not in sent[0].configuration, "it may hold secrets"
    manifests = [message for message in sent if isinstance(message, Manifest)]
    assert [manifest.step for manifest in manifests] == [0, 10, 20, 30, 40]
    assert {"mass", "u_min", "v_l2"} < manifests[0].diagnostics.keys()
    assert isinstance(sent[-1], RunEnded)
    assert sent[-1].status == "completed"

    again = simulate(toml, *options)
    assert again.returncode == 2
    assert again.stderr.count(f"run.id = '{run_id}'") == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["run.stepz=5"], "run.stepz = 5: unknown key; did you mean 'steps'?"),
        (["run.steps=many"], "run.steps = 'many': Expected `int`"),
        (["run.steps=0"], "run.steps = 0: must be at least 1"),
        (["domain.shape=[1, 1]"], "domain.shape = [1, 1]: cannot be shared by 2 ranks; start 1"),
        (["run.model=grey-scot"], "run.model = 'grey-scot': no such model is installed; did you mean"),
        (["stream.fields=['w']"], "stream.fields = 'w': model 'gray-scott' has no such field; it has u, v"),
        (["model.dt=9.0"], "model.dt = 9.0: is unstable at this spacing; the largest stable one is 1.2"),
        (["run.id=Not good"], "run.id = 'Not good': use 1 to 64 of a-z"),
        (["initial.u=nowhere.npy"], "nowhere.npy': cannot be read"),
        (["initial.u=wrong.npy"], "has shape (3, 3), but domain.shape is (32, 48)"),
        (["kafka.bootstrap.servers=127.0.0.1:1"], "no Kafka broker answers there"),
    ],
)
def test_a_mistake_ends_all_ranks_with_one_message(
    toml: Path, tmp_path: Path, overrides: list[str], message: str
) -> None:
    np.save(tmp_path / "wrong.npy", np.zeros((3, 3)))
    ended = simulate(toml, *settings(*overrides))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, "one message, not one per rank, and no traceback"


def test_files_that_are_not_there_are_named(toml: Path, tmp_path: Path) -> None:
    ended = simulate(tmp_path / "nowhere.toml")
    assert ended.returncode == 2
    assert "nowhere.toml" in ended.stderr
    ended = simulate(toml, "--no-stream", "--summary", str(tmp_path / "nowhere" / "summary.json"))
    assert ended.returncode == 2
    assert "--summary" in ended.stderr


def test_a_blow_up_leaves_what_was_published_before_and_says_so(
    toml: Path, tmp_path: Path, broker: BrokerInfo, run_id: str
) -> None:
    u = np.ones((32, 48))
    u[20, 30] = 1e7  # meets v = 1e7 there
    np.save(tmp_path / "u.npy", u)
    np.save(tmp_path / "v.npy", u - 1)
    servers = f"kafka.bootstrap.servers={broker.bootstrap_servers}"
    ended = simulate(toml, *settings(f"run.id={run_id}", servers, "initial.u=u.npy", "initial.v=v.npy"))
    assert ended.returncode == 1
    reason = "the simulation blew up: field 'u' is not finite on rank 0 at step 10 (at step 0 all was well)"
    assert ended.stderr.count(reason) == 1
    assert "Traceback" not in ended.stderr
    sent = list(messages(broker.bootstrap_servers, run_id))
    assert [message.step for message in sent if isinstance(message, Manifest)] == [0]
    assert isinstance(sent[-1], RunEnded)
    assert sent[-1].status == "failed"
    assert reason in sent[-1].reason


def install_model(site: Path, source: str) -> dict[str, str]:
    """Install a model as another package would, in a folder of its own; return what finds it."""
    (site / "their_model.py").write_text(textwrap.dedent(source))
    metadata = site / "their_model-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-model\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[lockstream.models]\ntheirs = their_model:Theirs\n")
    return {"PYTHONPATH": str(site)}


DECAY = """
    import msgspec
    import numpy as np
    from lockstream.mpi_jobs.models import FieldInfo

    class Parameters(msgspec.Struct, forbid_unknown_fields=True):
        rate: float = 0.5

    class Theirs:
        Parameters = Parameters
        fields = (FieldInfo("c", "mol", "concentration"),)
        dt, largest_stable_dt = 0.1, 2.0

        def __init__(self, parameters, domain):
            self.rate, self.domain = parameters.rate, domain

        def initial_state(self, random):
            return {"c": np.ones(self.domain.shape, self.domain.dtype)}

        def step(self, old, new, shape):
            fail_now()
            new[0][...] = old[0] * (1 - self.dt * self.rate)

        def integrals(self, fields, shape):
            ny, nx = shape
            return {"amount": float(fields[0][1 : ny + 1, 1 : nx + 1].sum(dtype=float))}

    def fail_now():
        pass
"""


def test_a_model_of_another_package_is_found(toml: Path, tmp_path: Path) -> None:
    env = install_model(tmp_path, DECAY)
    command = [LOCKSTREAM, "simulate", toml, "--no-stream", *settings("run.model=theirs")]
    ended = mpirun(2, *command, env=env)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("gs: theirs, 32 x 48")
    misspelt = mpirun(2, *command, *settings("model.rato=1.0"), env=env)
    assert misspelt.returncode == 2
    assert "model.rato = 1.0: unknown key; did you mean 'rate'?" in misspelt.stderr


def test_a_rank_that_crashes_takes_all_others_with_it(toml: Path, tmp_path: Path) -> None:
    crash = """
        from mpi4py import MPI
        if MPI.COMM_WORLD.rank == 1:
            raise RuntimeError("out of luck")
    """
    source = textwrap.dedent(DECAY).replace("    pass\n", textwrap.indent(textwrap.dedent(crash), "    "))
    env = install_model(tmp_path, source)
    command = [LOCKSTREAM, "simulate", toml, "--no-stream", *settings("run.model=theirs")]
    ended = mpirun(3, *command, env=env, timeout=30)
    assert ended.returncode == 1
    assert ended.stderr.count("Traceback") == 1
    assert "rank 1 of 3" in ended.stderr
    assert "RuntimeError: out of luck" in ended.stderr


def test_an_error_that_only_rank_0_has_is_told_in_one_sentence_and_ends_all(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            from lockstream.bridge.errors import DeliveryFailed
            from lockstream.mpi_jobs.launch import mpi_world

            with mpi_world() as comm:
                if comm.rank == 0:
                    raise DeliveryFailed("step 7 was not delivered")
                comm.Barrier()
        """)
    )
    ended = mpirun(3, sys.executable, program, timeout=30)
    assert ended.returncode == 1
    assert ended.stderr.count("lockstream: step 7 was not delivered") == 1
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("task", "speaks"), [("0", True), ("1", False)])
def test_several_tasks_in_worlds_of_one_are_refused_with_the_cure(
    toml: Path, task: str, speaks: bool
) -> None:
    env = {"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": task}
    ended = run(LOCKSTREAM, "simulate", toml, "--no-stream", env=env)
    assert ended.returncode == 2
    assert ("srun --mpi=pmi2" in ended.stderr) == speaks
    assert len(ended.stderr.splitlines()) == speaks


def test_help_says_how_to_start_it() -> None:
    ended = run(LOCKSTREAM, "simulate", "--help")
    assert ended.returncode == 0
    assert "mpirun -n 4 lockstream simulate" in ended.stdout
