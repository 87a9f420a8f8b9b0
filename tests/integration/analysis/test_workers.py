"""Workers as processes of their own, on a real broker: they share the runs, and take over from the dead."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import xarray
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from support.programs import LOCKSTREAM, run
from support.runs import FakeRun, Record, record

from lockstream.bridge.messages import Axis, Field, run_topic
from lockstream.bridge.topics import create_topic, run_topic_settings
from lockstream.kafka.analysis.messages import SpectrumResult
from lockstream.kafka.analysis.position import Position
from lockstream.kafka.analysis.results import ResultsTopic, read_results
from lockstream.kafka.analysis.spectrum import radial_shells, radial_spectrum
from lockstream.kafka.broker import BrokerInfo
from lockstream.kafka.log import reader

LIMIT = 60.0
STEPS = tuple(range(0, 400, 10))
PLANE = Field("p", (24, 40), "i2", units="K", axes=(Axis("y", spacing=0.5, units="m"), Axis("x", units="m")))
CUBE = Field("c", (4, 6, 5), "u1", axes=(Axis("k"), Axis("j"), Axis("i")))


def until(
    condition: Callable[[], object], what: str, processes: tuple[subprocess.Popen[bytes], ...] = ()
) -> None:
    """Wait for a condition, as long as the processes that shall bring it about live."""
    limit = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < limit, f"not within {LIMIT} s: {what}"
        assert all(process.poll() is None for process in processes), f"a worker ended before: {what}"
        time.sleep(0.05)


class Log:
    """The topic of a run that is being published."""

    def __init__(self, broker: BrokerInfo, fake: FakeRun) -> None:
        self.fake = fake
        self._producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True})
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        settings = run_topic_settings(-1)
        create_topic(admin, run_topic(fake.run), partitions=fake.partitions, replication=1, settings=settings)
        self._published = 0
        self.everywhere(record(fake.started))

    def publish(self, step: int) -> None:
        for each in self.fake.step(step):
            self._send(each, self._published % self.fake.partitions)
        self._published += 1
        assert self._producer.flush(LIMIT) == 0

    def end(self) -> None:
        self.everywhere(record(self.fake.ended(STEPS)))

    def everywhere(self, each: Record) -> None:
        for partition in range(self.fake.partitions):
            self._send(each, partition)
        assert self._producer.flush(LIMIT) == 0

    def _send(self, each: Record, partition: int) -> None:
        self._producer.produce(run_topic(self.fake.run), each[1], headers=each[0], partition=partition)


class Group:
    """A group of workers on one archive, and what can be seen of it from outside."""

    def __init__(self, broker: BrokerInfo, name: str, folder: Path) -> None:
        self.name, self.archive, self._folder = name, folder / "archive", folder
        self._environment = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        self._options = {"bootstrap.servers": broker.bootstrap_servers}
        self._admin = AdminClient(self._options)

    def command(self, *arguments: str) -> list[str]:
        return [LOCKSTREAM, "analyse", "--group", self.name, "--archive", str(self.archive), *arguments]

    def run(self, *arguments: str, timeout: float = LIMIT) -> subprocess.CompletedProcess[str]:
        return run(*self.command(*arguments), env=self._environment, timeout=timeout)

    @contextmanager
    def workers(self, count: int, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], ...]]:
        """Processes that have come together: each of them has a share of the partitions."""
        started: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(count):
                with (self._folder / f"worker-{number}.out").open("w") as out:
                    environment = os.environ | self._environment
                    command = self.command("--set", "kafka.session.timeout.ms=6000", *arguments)
                    process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
                started.append(process)
            until(lambda: self._shares() == count, f"{count} workers share the work", tuple(started))
            yield tuple(started)
        finally:
            for process in started:
                process.kill()
                process.wait(LIMIT)

    def output(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("worker-*.out")))

    def results(self, name: str) -> list[SpectrumResult]:
        """All results of a run, repeats included."""
        found = (
            AdminClient(self._options).list_topics("lockstream.results", LIMIT).topics["lockstream.results"]
        )
        consumer: Consumer = reader(self._options, enable_partition_eof=True)
        try:
            topic = ResultsTopic("lockstream.results", len(found.partitions))
            return list(read_results(consumer, topic, name, 0))
        finally:
            consumer.close()

    def positions(self, name: str, partitions: int) -> list[Position]:
        """Where the partitions of a run stand, those that are beyond their first step."""
        consumer = reader(self._options, self.name)
        try:
            wanted = [TopicPartition(run_topic(name), number) for number in range(partitions)]
            read = [Position.read(committed) for committed in consumer.committed(wanted, LIMIT)]
        finally:
            consumer.close()
        return [position for position in read if position and position.last_step >= 0]

    def _shares(self) -> int:
        try:
            described = self._admin.describe_consumer_groups([self.name])[self.name].result(LIMIT)
        except KafkaException:  # the group is not there yet, or its coordinator is being loaded
            return 0
        return sum(bool(m.assignment and m.assignment.topic_partitions) for m in described.members)


@pytest.fixture
def group(broker: BrokerInfo, run_id: str, tmp_path: Path) -> Group:
    return Group(broker, f"group-{run_id}", tmp_path)


def assert_complete(group: Group, fake: FakeRun, field: Field) -> None:
    """Every step is in the run's file, with the spectrum that its field has."""
    shells = radial_shells(field.shape, tuple(axis.spacing for axis in field.axes))
    expected = [radial_spectrum(fake.array(field.name, step), shells) for step in STEPS]
    with xarray.open_dataset(group.archive / fake.run / "analysis.h5", engine="h5netcdf") as data:
        np.testing.assert_array_equal(data.step, STEPS)
        np.testing.assert_array_equal(data.time, [step / 3 for step in STEPS])
        np.testing.assert_array_equal(data.wavenumber, shells.wavenumbers)
        np.testing.assert_array_equal(data.spectrum, [spectrum.power for spectrum in expected])
        np.testing.assert_array_equal(data.pattern_scale, [spectrum.pattern_scale for spectrum in expected])
        assert data.attrs["run"] == fake.run


def test_two_workers_share_two_runs_of_different_models(
    broker: BrokerInfo, group: Group, run_id: str
) -> None:
    plane = Log(broker, FakeRun(f"plane-{run_id[-40:]}", (PLANE,), 512))
    cubes = Log(broker, FakeRun(f"cubes-{run_id[-40:]}", (CUBE, PLANE), 512, partitions=3))
    runs = ("--run", plane.fake.run, "--run", cubes.fake.run)
    with group.workers(2, *runs) as workers:
        for step in STEPS:
            plane.publish(step)
            cubes.publish(step)
        plane.end()
        cubes.end()
        assert [worker.wait(LIMIT) for worker in workers] == [0, 0], group.output()
    for fake in (plane.fake, cubes.fake):
        assert_complete(group, fake, PLANE)
        assert [r.step for r in sorted(group.results(fake.run), key=lambda r: r.step)] == list(STEPS)
    names = {result.worker for log in (plane, cubes) for result in group.results(log.fake.run)}
    assert len(names) == 2, group.output()

    late = group.run(*runs)  # everything is done already: it finds out and leaves
    assert late.returncode == 0, late.stderr
    assert "steps analysed" not in late.stdout


def test_what_a_killed_worker_had_is_done_by_the_other(broker: BrokerInfo, group: Group, run_id: str) -> None:
    log = Log(broker, FakeRun(run_id, (PLANE,), 512, partitions=4))
    with group.workers(2, "--run", run_id) as (victim, other):
        for step in STEPS[:20]:
            log.publish(step)
        until(lambda: len(group.positions(run_id, 4)) == 4, "all partitions stand mid-log", (victim, other))
        assert len({result.worker for result in group.results(run_id)}) == 2, group.output()
        victim.send_signal(signal.SIGKILL)
        for step in STEPS[20:]:
            log.publish(step)
        log.end()
        assert other.wait(LIMIT) == 0, group.output()
    assert_complete(group, log.fake, PLANE)


def test_workers_find_runs_that_begin_later_and_leave_when_they_are_told_to(
    broker: BrokerInfo, group: Group, run_id: str
) -> None:
    early = Log(broker, FakeRun(f"early-{run_id[-40:]}", (PLANE,), 512))
    with group.workers(1) as (worker,):
        late = Log(broker, FakeRun(f"late-{run_id[-40:]}", (PLANE,), 512))
        for step in STEPS:
            early.publish(step)
            late.publish(step)
        early.end()
        until(lambda: len(group.results(late.fake.run)) == len(STEPS), "the late run is analysed", (worker,))
        file = group.archive / early.fake.run / "analysis.h5"
        until(file.exists, "the early run, which has ended, has its file", (worker,))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(LIMIT) == 0, group.output()
    for log in (early, late):  # the late run has not ended: what is there is kept all the same
        assert_complete(group, log.fake, PLANE)


def test_a_worker_that_was_stopped_goes_on_where_it_was(
    broker: BrokerInfo, group: Group, run_id: str
) -> None:
    log = Log(broker, FakeRun(run_id, (PLANE,), 512))
    with group.workers(1, "--run", run_id) as (worker,):
        for step in STEPS[:10]:
            log.publish(step)
        until(lambda: len(group.results(run_id)) == 10, "ten steps are analysed", (worker,))
        worker.send_signal(signal.SIGINT)
        assert worker.wait(LIMIT) == 75, group.output()
    for step in STEPS[10:]:
        log.publish(step)
    log.end()
    again = group.run("--run", run_id)
    assert again.returncode == 0, again.stderr
    assert f"completed, {len(STEPS) - 10} steps analysed here" in again.stdout
    assert_complete(group, log.fake, PLANE)
    assert len(group.results(run_id)) == len(STEPS)  # nothing twice


def test_a_newer_attempt_supersedes_and_is_followed_to_its_end(
    broker: BrokerInfo, group: Group, run_id: str
) -> None:
    log = Log(broker, FakeRun(run_id, (PLANE,), 512))
    log.publish(0)
    log.publish(10)
    log.publish(400)  # beyond what the restart begins with, and not published again
    log.end()
    assert group.run("--run", run_id).returncode == 0
    log.fake = FakeRun(run_id, (PLANE,), 512, attempt=1, after_step=-1, seed=5)
    log.everywhere(record(log.fake.started))
    for step in STEPS:
        log.publish(step)
    log.end()
    assert group.run("--run", run_id).returncode == 0
    assert_complete(group, log.fake, PLANE)
    assert {result.attempt for result in group.results(run_id)} == {0, 1}


def test_offsets_that_somebody_else_committed_do_no_harm(
    broker: BrokerInfo, group: Group, run_id: str
) -> None:
    log = Log(broker, FakeRun(run_id, (PLANE,), 512))
    for step in STEPS:
        log.publish(step)
    log.end()
    consumer = reader({"bootstrap.servers": broker.bootstrap_servers}, group.name)
    consumer.commit(offsets=[TopicPartition(run_topic(run_id), 0, 7)], asynchronous=False)
    consumer.close()
    result = group.run("--run", run_id)
    assert result.returncode == 0, result.stderr
    assert_complete(group, log.fake, PLANE)


def test_a_named_run_without_the_field_is_the_users_mistake_others_are_left_out(
    broker: BrokerInfo, group: Group, run_id: str
) -> None:
    log = Log(broker, FakeRun(run_id, (PLANE,), 512))
    log.publish(0)
    log.end()
    named = group.run("--run", run_id, "--field", "q")
    assert (named.returncode, named.stderr.count("\n")) == (2, 1)
    assert f"run {run_id!r} has no field 'q', only p" in named.stderr
    with group.workers(1, "--field", "q") as (worker,):
        until(lambda: f"{run_id}: LEFT OUT" in group.output(), "the run is left out", (worker,))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(LIMIT) == 0, group.output()
    assert not (group.archive / run_id / "analysis.h5").exists()


def test_what_cannot_be_a_run_is_the_users_mistake(group: Group) -> None:
    result = group.run("--run", "no(run")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--run = 'no(run'" in result.stderr


def test_a_compacted_results_topic_is_refused(broker: BrokerInfo, group: Group, topic_name: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    create_topic(admin, topic_name, partitions=1, replication=1, settings={"cleanup.policy": "compact"})
    result = group.run("--set", f"analysis.topic={topic_name}")
    assert result.returncode == 2
    assert "cleanup.policy=compact" in result.stderr


def test_a_broker_that_is_not_there_is_named(group: Group) -> None:
    result = group.run("--set", "kafka.bootstrap.servers=127.0.0.1:1", timeout=15)
    assert result.returncode == 2
    assert "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr
