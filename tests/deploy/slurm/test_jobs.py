"""The committed job scripts on real daemons: they go on by themselves, and what they archive is whole."""

import json
import re
from pathlib import Path

import h5py
import pytest
from confluent_kafka.admin import AdminClient
from support.jobs import Jobs, processes_of
from support.slurm import Slurm
from support.waiting import wait_until

from lockstream.bridge.messages import run_topic

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("launch", ["srun", "mpirun"])
def test_a_job_that_is_told_of_its_limit_goes_on_to_the_same_end(
    jobs: Jobs, slurm: Slurm, run_id: str, launch: str
) -> None:
    job = jobs.submit("simulate", "--nodes=2", LAUNCH=launch)
    jobs.interrupt(job)
    jobs.completes(job)
    assert re.search(r"attempt 1, from step [1-9]\d* on", jobs.output(job)), jobs.output(job)
    jobs.are_equal(jobs.archived(f"job-{job}"), jobs.reference(run_id))


def test_a_job_that_is_told_while_it_starts_comes_back(jobs: Jobs, slurm: Slurm) -> None:
    job = jobs.submit("simulate", words=("--set", "run.steps=100000000"))
    wait_until(lambda: any(" simulate " in line for line in processes_of(job)))
    slurm.ask("scancel", "--batch", "--signal=USR1", job)
    wait_until(lambda: slurm.restarts(job) == 1, 60, pause=0.2)
    jobs.wait_for_checkpoint(job)
    slurm.ask("scancel", job)
    assert slurm.wait(job) == ["CANCELLED"]


def test_a_job_that_reaches_its_time_limit_goes_on(jobs: Jobs, slurm: Slurm) -> None:
    words = ("--set", "run.steps=100000000", "--set", "stream.every=20000")
    job = jobs.submit("simulate", "--time=1", "--signal=B:USR1@40", words=words)
    wait_until(lambda: re.search(r"attempt 1, from step [1-9]\d* on", jobs.output(job)), 120, pause=0.5)
    assert "the time limit is near" in jobs.output(job)
    slurm.ask("scancel", job)
    assert slurm.wait(job) == ["CANCELLED"]


def test_a_run_that_fails_is_not_repeated(jobs: Jobs, slurm: Slurm) -> None:
    job = jobs.submit("simulate", words=("--set", "model.F=nonsense"))
    assert slurm.wait(job) == ["FAILED"]
    assert slurm.restarts(job) == 0
    assert "model.F" in jobs.output(job)
    bounded = jobs.submit("simulate", MAX_ATTEMPTS="1", words=("--set", "run.steps=10000000"))
    jobs.wait_for_checkpoint(bounded)
    slurm.ask("scancel", "--batch", "--signal=USR1", bounded)
    assert slurm.wait(bounded) == ["FAILED"]
    assert slurm.restarts(bounded) == 0
    assert "stopped again in attempt 1" in jobs.output(bounded)


def test_a_job_whose_node_fails_goes_on_elsewhere(jobs: Jobs, slurm: Slurm, run_id: str) -> None:
    job = jobs.submit("simulate", "--nodes=1")
    jobs.wait_for_checkpoint(job)
    node = slurm.ask("squeue", "--noheader", "--format=%N", "--job", job).strip()
    with slurm.without(node):
        jobs.completes(job)
    assert slurm.restarts(job) == 1
    jobs.are_equal(jobs.archived(f"job-{job}"), jobs.reference(run_id))


def test_a_cancelled_job_leaves_nothing_behind(jobs: Jobs, slurm: Slurm) -> None:
    job = jobs.submit("simulate-with-kafka", words=("--set", "run.steps=10000000"))
    jobs.wait_for_checkpoint(job)
    assert processes_of(job), "it looks for the right ones"
    slurm.ask("scancel", job)
    assert slurm.wait(job) == ["CANCELLED"]
    wait_until(lambda: processes_of(job) == [], 20)
    assert slurm.restarts(job) == 0


def test_a_job_with_its_own_kafka_goes_on_with_the_same_log(jobs: Jobs, slurm: Slurm, run_id: str) -> None:
    (jobs.folder / "node").mkdir()
    job = jobs.submit("simulate-with-kafka", "--nodes=2", TMPDIR=str(jobs.folder / "node"))
    jobs.interrupt(job)
    jobs.completes(job)
    output = jobs.output(job)
    assert re.search(r"attempt 1, from step [1-9]\d* on", output), output
    assert "nothing lost, duplicated or torn" in output
    jobs.are_equal(jobs.archive / f"job-{job}", jobs.reference(run_id))
    assert [*(jobs.folder / "kafka").iterdir()] == [*(jobs.folder / "node").iterdir()] == []
    assert processes_of(job) == []


@pytest.mark.timeout(900)
def test_a_job_with_three_brokers_goes_on_with_the_same_three_logs(
    jobs: Jobs, slurm: Slurm, run_id: str
) -> None:
    (jobs.folder / "node").mkdir()
    job = jobs.submit("simulate-with-kafka", "--nodes=2", TMPDIR=str(jobs.folder / "node"), BROKERS="3")
    jobs.wait_for_checkpoint(job)
    kept = jobs.folder / "kafka" / f"job-{job}"
    places = [path.read_text().partition(":")[0] for path in sorted(kept.glob("broker-*.away"))]
    assert places == ["n1", "n2", "n1"]
    assert copies(kept / "meeting", f"job-{job}") == [1, 2, 3]
    jobs.interrupt(job)
    jobs.completes(job, 500)
    output = jobs.output(job)
    assert re.search(r"attempt 1, from step [1-9]\d* on", output), output
    assert "nothing lost, duplicated or torn" in output
    jobs.are_equal(jobs.archive / f"job-{job}", jobs.reference(run_id))
    assert [*(jobs.folder / "kafka").iterdir()] == [*(jobs.folder / "node").iterdir()] == []
    assert processes_of(job) == []


def test_without_the_data_of_one_of_three_brokers_a_job_refuses_to_begin_a_second_log(
    jobs: Jobs, slurm: Slurm, run_id: str
) -> None:
    (jobs.folder / "node").mkdir()
    kept = jobs.folder / "kafka" / run_id
    kept.mkdir(parents=True)
    (kept / "broker-2.away").write_text("n9:/local/broker-2\n")
    told = {"TMPDIR": str(jobs.folder / "node"), "BROKERS": "3", "LOCKSTREAM_RUN_ID": run_id}
    job = jobs.submit("simulate-with-kafka", "--nodes=2", **told)
    assert slurm.wait(job) == ["FAILED"]
    assert "Kafka's data are at n9:/local/broker-2, on a node where an attempt was killed" in jobs.output(job)
    assert slurm.restarts(job) == 0
    assert [path.name for path in sorted(kept.glob("*.away"))] == ["broker-2.away"]
    assert [*(jobs.folder / "node").iterdir()] == []
    assert not (jobs.folder / "checkpoints").exists()
    assert processes_of(job) == []


def copies(meeting: Path, run: str) -> list[int]:
    """On which brokers a run's records are, asked of those that met there."""
    addresses = [json.loads(path.read_text())["address"] for path in meeting.glob("node-*-of-3.json")]
    servers = ",".join(f"{address['host']}:{address['port']}" for address in addresses)
    topic = run_topic(run)
    found = AdminClient({"bootstrap.servers": servers}).list_topics(topic, timeout=20).topics[topic]
    return sorted(found.partitions[0].replicas)


def test_an_ensemble_streams_all_at_once_and_is_archived_whole(jobs: Jobs) -> None:
    feeds = [f"0.0{number}" for number in range(30, 38)]
    (jobs.folder / "parameters.txt").write_text("".join(f"model.F={feed} run.steps=1000\n" for feed in feeds))
    job = jobs.submit("ensemble", "--ntasks=1", words=("parameters.txt",))
    jobs.completes(job)
    for task, feed in enumerate(feeds, start=1):
        with h5py.File(jobs.archived(f"job-{job}-{task}") / "run.h5") as file:
            assert json.loads(file.attrs["configuration"])["model"]["F"] == float(feed)
            assert file["step"][-1] == 1000


def test_a_workflow_simulates_here_and_archives_and_analyses_there(
    jobs: Jobs, slurm: Slurm, run_id: str
) -> None:
    first = jobs.submit("workflow", LOCKSTREAM_RUN_ID=f"here-{run_id[-8:]}")
    jobs.wait_for_checkpoint(first, f"here-{run_id[-8:]}")
    slurm.ask("scancel", "--batch", "--signal=USR1", first)
    assert slurm.wait(first)[0] == "FAILED"
    assert f"go on with: LOCKSTREAM_RUN_ID=here-{run_id[-8:]}" in jobs.output(first)
    jobs.completes(jobs.submit("workflow", LOCKSTREAM_RUN_ID=f"here-{run_id[-8:]}"))
    archived = jobs.archive / f"here-{run_id[-8:]}"
    jobs.are_equal(archived, jobs.reference(run_id))
    with h5py.File(archived / "analysis.h5") as analysed, h5py.File(archived / "run.h5") as run:
        assert set(analysed["step"][()]) == set(run["step"][()])
