"""Old runs, many runs, large steps: work and memory of the archiver do not grow beyond what is promised."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any, ClassVar, NamedTuple

import h5py
import numpy as np
import pytest
from support.archiver_program import archiver, end_and_peak_of, end_of
from support.kafka_logs import make_topic, options, produce, stored, verified
from support.runs import FakeRun, record
from support.waiting import wait_until

from lockstream.bridge.messages import Field
from lockstream.kafka import open_run
from lockstream.kafka.archive.archiver import Archiver
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.run_archiver import RunArchiver
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.show import describe
from lockstream.kafka.broker import BrokerInfo, embedded_broker
from lockstream.kafka.log import Cluster

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

SEGMENTS, SEGMENT_STEPS = 1000, 100
STEPS = SEGMENTS * SEGMENT_STEPS
OLD = FakeRun(run="old", fields=(Field("u", (8,)),), tile_bytes=64)
SETTINGS = {"segment_bytes": SEGMENT_STEPS * OLD.started.step_bytes, "segment_seconds": 3600.0}


class Aged(NamedTuple):
    """An archive of 100,000 steps in 1,000 segments, and the archiver's memory at 200 and at 1,000 of them, bytes."""

    folder: Path
    young: int
    old: int


@pytest.fixture(scope="module")
def aged(broker: BrokerInfo, tmp_path_factory: pytest.TempPathFactory) -> Aged:
    archive = tmp_path_factory.mktemp("aged")
    make_topic(broker, OLD.run)
    produce(broker, OLD.run, [[record(OLD.started)]])
    sets = tuple(f"archive.{key}={value}" for key, value in SETTINGS.items())
    resident = []
    with archiver(broker, archive, OLD.run, sets=sets) as process:
        for first, stop in ((0, STEPS // 5), (STEPS // 5, 3 * STEPS // 5), (3 * STEPS // 5, STEPS)):
            produce(broker, OLD.run, [[each for step in range(first, stop) for each in OLD.step(step)]])
            wait_for_segments(process, archive / OLD.run, stop // SEGMENT_STEPS)
            resident.append(resident_bytes(process.pid))
        process.send_signal(signal.SIGTERM)
        assert end_of(process)[0] == 75
    return Aged(archive, resident[0], resident[-1])


def wait_for_segments(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    def are_sealed() -> bool:
        assert process.poll() is None, process.communicate()
        return len(segment_paths(folder)) >= count

    wait_until(are_sealed, 300)


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the HDF5 files that were opened; a write counts like a read."""
    names: list[str] = []
    original = h5py.File.__init__

    def counted(file: h5py.File, name: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(name, str | Path):  # otherwise it is one that is open
            names.append(str(name))
        original(file, name, *args, **kwargs)

    monkeypatch.setattr(h5py.File, "__init__", counted)
    return names


def test_memory_does_not_grow_with_the_run(aged: Aged) -> None:
    """Bookkeeping of the segments does, by less than 100 kB each."""
    assert aged.old < 2 * aged.young
    assert aged.old - aged.young < 100_000 * SEGMENTS


def test_resuming_opens_no_more_than_the_last_files(
    aged: Aged, broker: BrokerInfo, opened: list[str]
) -> None:
    topic = Cluster(options(broker)).topic(OLD.run)
    with RunArchiver(aged.folder, topic, ArchiveSettings(**SETTINGS)) as again:
        assert again.next_offsets == {0: 1 + 2 * STEPS}
    assert len(opened) <= 2


def test_sealing_one_more_opens_only_that(aged: Aged, broker: BrokerInfo, opened: list[str]) -> None:
    """And so does renewing run.h5, once the segments are known; a resumed archiver reads what is small of each once."""
    topic = Cluster(options(broker)).topic(OLD.run)
    with RunArchiver(aged.folder, topic, ArchiveSettings(**SETTINGS)) as again:
        again.tick()
        assert len(opened) <= SEGMENTS + 10
        for number in range(2):
            opened.clear()
            first = STEPS + number * SEGMENT_STEPS
            for step in range(first, first + SEGMENT_STEPS):
                for headers, value in OLD.step(step):
                    assert list(again.take(0, again.next_offsets[0], headers, value)) is not None
            again.seal()
            assert len(opened) <= 8
        opened.clear()
        for headers, value in OLD.step(SEGMENT_STEPS // 2):  # a step that came long ago comes again
            events = list(again.take(0, again.next_offsets[0], headers, value))
        assert len(events) == 1
        assert len(opened) <= 4 + np.log2(SEGMENTS)


def test_looking_at_it_opens_each_file_a_few_times(aged: Aged, opened: list[str]) -> None:
    folder = aged.folder / OLD.run
    described = describe(folder)
    assert described.steps >= STEPS
    assert len(opened) <= 2 * described.segments + 4
    opened.clear()
    with open_run(folder) as dataset:
        assert dataset.sizes["step"] == described.steps
        assert len(opened) <= 2 * described.segments + 4
        opened.clear()
        assert dataset["u"][STEPS // 2].values.tobytes() == OLD.array("u", STEPS // 2).tobytes()
        assert len(opened) <= 1


RUNS, OPEN = 200, 50


@dataclass
class Counted:
    """How often the cluster was asked what."""

    looks: int = 0
    descriptions: int = 0

    def spied(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            setattr(self, name, getattr(self, name) + 1)
            return original(*args)

        return call


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    for name, method in (("looks", "runs"), ("descriptions", "_described")):
        monkeypatch.setattr(Cluster, method, counted.spied(name, getattr(Cluster, method)))
    return counted


@pytest.fixture
def lonely_broker(tmp_path: Path) -> Iterator[BrokerInfo]:
    """A broker that has the runs of one test only."""
    with embedded_broker(tmp_path / "broker") as info:
        yield info


def test_two_hundred_runs_and_then_rest(lonely_broker: BrokerInfo, tmp_path: Path, counted: Counted) -> None:
    """Archived once, started again: each topic is looked at once, then one a second of those that have not ended."""
    names = [f"run-{number:03d}" for number in range(RUNS)]
    for number, name in enumerate(names):
        source = FakeRun(run=name, fields=(Field("u", (8,)),), tile_bytes=64)
        stored(lonely_broker, name, source.logs(range(3), None if number < OPEN else "completed"))
    archive = tmp_path / "archive"
    settings = ArchiveSettings(folder=str(archive), segment_seconds=0.5)

    def follow_until(condition: Callable[[], bool]) -> None:
        stop = Flag()
        thread = Thread(target=Archiver(options(lonely_broker), settings).follow, args=(stop,))
        thread.start()
        try:
            wait_until(condition, 240)
        finally:
            stop.set()
            thread.join(60)
        assert not thread.is_alive()

    def segments() -> list[Path]:
        return sorted(archive.glob("*/segments/*.h5"))

    def kept() -> set[Path]:
        return {path.parent for path in segments()}  # a busy machine seals a run in more than one

    follow_until(lambda: sum(1 for _ in archive.glob("*/run.h5")) == RUNS and len(kept()) == OPEN)
    before = [path.stat().st_mtime_ns for path in segments()]
    counted.descriptions = 0
    rest: list[int] = []

    def has_rested() -> bool:
        if counted.descriptions >= RUNS and not rest:
            rest.extend([counted.looks, counted.descriptions])
        return bool(rest) and counted.looks >= rest[0] + 10

    follow_until(has_rested)
    assert counted.descriptions - rest[1] <= counted.looks - rest[0] + 2
    assert [path.stat().st_mtime_ns for path in segments()] == before
    done = [verified(lonely_broker, archive / name) for name in names[:: RUNS // 8]]
    assert {result.steps for result in done} == {3}


class Huge(FakeRun):
    """A run with steps of 256 MiB; one frame is kept, because a tile is a part of it."""

    kept: ClassVar[dict[int, np.ndarray[Any, Any]]] = {}

    def array(self, name: str, step: int) -> np.ndarray[Any, Any]:
        if step not in self.kept:
            self.kept.clear()
            self.kept[step] = super().array(name, step)
        return self.kept[step]


def test_steps_of_256_mib(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    """The archiver holds one of them, and less than 300 MB beside it."""
    source = Huge(run=run_id, fields=(Field("u", (8192, 8192), "i4"),), tile_bytes=1 << 20)
    step_bytes = source.started.step_bytes
    assert step_bytes == 256 << 20
    make_topic(broker, run_id)
    produce(broker, run_id, [[record(source.started)]])
    with archiver(broker, tmp_path, run_id) as process:
        for step in range(3):
            produce(broker, run_id, [source.step(step)])
        produce(broker, run_id, [[record(source.ended(range(3)))]])
        code, peak = end_and_peak_of(process, 240)
    assert code == 0
    assert peak < step_bytes + 300e6
    assert verified(broker, tmp_path / run_id).steps == 3
