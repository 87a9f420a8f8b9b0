"""The archiver against a real Kafka: killed, late, doubled, refused, and fed with junk."""

import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import h5py
import pytest
from confluent_kafka import Producer
from support.kafka_logs import (
    delete_before,
    delete_topic,
    follow,
    following,
    make_topic,
    options,
    produce,
    stored,
    verified,
)
from support.programs import LOCKSTREAM, run
from support.runs import JUNK, TWO_FIELDS, FakeRun, record
from support.waiting import wait_until

from lockstream.bridge.messages import Field, run_topic
from lockstream.kafka.archive.against_kafka import compare_with_kafka
from lockstream.kafka.archive.archiver import Archiver, RunRefused
from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.recovery import merged_file
from lockstream.kafka.archive.settings import ArchiveSettings
from lockstream.kafka.archive.verify import verify_run
from lockstream.kafka.broker import BrokerInfo
from lockstream.kafka.errors import ArchiveRefused


def a_run(run_id: str, **more: object) -> FakeRun:
    return FakeRun(run=run_id, fields=TWO_FIELDS, **more)  # type: ignore[arg-type]


def assert_shows(folder: Path, steps: dict[int, FakeRun]) -> None:
    with h5py.File(folder / "run.h5") as file:
        assert file["step"][()].tolist() == sorted(steps)
        for row, (step, source) in enumerate(sorted(steps.items())):
            for field in source.fields:
                assert file[field.name][row].tobytes() == source.array(field.name, step).tobytes()


def environment(broker: BrokerInfo) -> dict[str, str]:
    return {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}


@contextmanager
def archiver_process(broker: BrokerInfo, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """``lockstream archive follow``, ended with SIGKILL when the block ends."""
    command = [LOCKSTREAM, "archive", "follow", "--archive", str(folder), *words]
    with subprocess.Popen(
        command,
        env=os.environ | environment(broker),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def test_following_all_runs_takes_those_that_begin_later(
    broker: BrokerInfo, run_id: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And a run whose topic is deleted meanwhile is named and disturbs no other."""
    names = [f"{run_id[:50]}-{letter}" for letter in "abc"]
    stored(broker, names[0], a_run(names[0]).logs(range(3), None))
    with (  # noqa: PT012
        pytest.raises(RunRefused, match=f"{names[0]}.* deleted"),
        following(broker, tmp_path, segment_seconds=0.1),
    ):
        wait_until(lambda: segment_paths(tmp_path / names[0]))
        delete_topic(broker, names[0])
        for name in names[1:]:
            stored(broker, name, a_run(name, partitions=2).logs(range(3)))
        for name in names[1:]:
            wait_until(lambda: verify_run(tmp_path / name).status == "completed")  # noqa: B023
        wait_until(lambda: f"{names[0]} is left out" in caplog.text)
    for name in names[1:]:
        assert verified(broker, tmp_path / name).steps == 3
    assert verify_run(tmp_path / names[0]).steps == 3


def test_an_archiver_killed_again_and_again_loses_nothing(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    chance = random.Random(3)  # noqa: S311
    source = FakeRun(run=run_id, fields=(Field("u", (96, 80)),), tile_bytes=4096)
    stored(broker, run_id, source.logs(range(60)))
    words = ("--run", run_id, "--set", "archive.segment_bytes=1")
    sealed, kills = 0, 0
    while sealed < 40:
        with archiver_process(broker, tmp_path, *words, "--set", "archive.on_end=links") as process:
            due = sealed + chance.randrange(3, 16)
            wait_until(lambda: len(segment_paths(tmp_path / run_id)) >= due or process.poll() is not None)  # noqa: B023
            kills += process.poll() is None
        sealed = len(segment_paths(tmp_path / run_id))
    assert kills
    done = run(LOCKSTREAM, "archive", "follow", "--archive", tmp_path, *words, env=environment(broker))
    assert done.returncode == 0, done.stderr
    checked = run(LOCKSTREAM, "archive", "verify", "--against-kafka", tmp_path, env=environment(broker))
    assert checked.returncode == 0, checked.stdout
    assert "60 steps" in checked.stdout
    assert_shows(tmp_path / run_id, dict.fromkeys(range(60), source))


def test_a_late_joiner_begins_at_step_0_and_an_early_one_waits(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    source = a_run(run_id)
    (log,) = source.logs(range(6))
    with following(broker, tmp_path / "early", run_id, segment_bytes=1, on_end="links"):
        make_topic(broker, run_id)
        produce(broker, run_id, [log[:11]])
        wait_until(lambda: (tmp_path / "early" / run_id / "run.h5").exists())
        with following(broker, tmp_path / "late", run_id):
            produce(broker, run_id, [log[11:]])
            for name in ("early", "late"):
                wait_until(lambda: verify_run(tmp_path / name / run_id).status == "completed")  # noqa: B023
    for name in ("early", "late"):
        assert verified(broker, tmp_path / name / run_id).steps == 6
        assert_shows(tmp_path / name / run_id, dict.fromkeys(range(6), source))


def test_a_second_archiver_of_a_run_is_refused_with_the_pid_of_the_first(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    stored(broker, run_id, a_run(run_id).logs(range(2), None))
    with archiver_process(broker, tmp_path, "--run", run_id, "--set", "archive.segment_seconds=0.1") as first:
        wait_until(lambda: segment_paths(tmp_path / run_id))
        second = run(
            LOCKSTREAM, "archive", "follow", "--archive", tmp_path, "--run", run_id, env=environment(broker)
        )
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
        assert f'"pid": {first.pid}' in second.stderr
        merging = run(LOCKSTREAM, "archive", "merge", tmp_path)
        assert merging.returncode == 2
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 75
    assert verified(broker, tmp_path / run_id).steps == 2


def test_a_topic_that_was_made_again_is_refused(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    logs = a_run(run_id).logs(range(2), "stopped")
    stored(broker, run_id, logs)
    follow(broker, tmp_path, run_id)
    delete_topic(broker, run_id)
    stored(broker, run_id, logs)
    with pytest.raises(ArchiveRefused, match="deleted and made again"):
        follow(broker, tmp_path, run_id)
    assert verify_run(tmp_path / run_id).steps == 2
    checked = run(LOCKSTREAM, "archive", "verify", "--against-kafka", tmp_path, env=environment(broker))
    assert (checked.returncode, "under that name" in checked.stdout) == (3, True)


def test_records_that_retention_ate_are_named(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    (log,) = a_run(run_id).logs(range(4))
    stored(broker, run_id, [log[:6]])
    with following(broker, tmp_path, run_id, segment_seconds=0.05):
        wait_until(
            lambda: verify_run(tmp_path / run_id).steps == 1 if segment_paths(tmp_path / run_id) else 0
        )
    produce(broker, run_id, [log[6:]])
    delete_before(broker, run_id, 14)
    with pytest.raises(ArchiveRefused, match=r"offsets 6\.\.13 were deleted"):
        follow(broker, tmp_path, run_id)
    with pytest.raises(ArchiveRefused, match=r"offsets 0\.\.13 were deleted"):
        follow(broker, tmp_path / "new", run_id)
    assert verify_run(tmp_path / run_id).faults == ()


def test_junk_is_quarantined_and_the_stream_goes_on(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    source = a_run(run_id, partitions=3)
    logs = source.logs(range(7))
    for number, log in enumerate(logs):
        log[3:3] = [JUNK, (log[1][0], log[1][1][:-1]), (log[2][0], b""), ([], b"{}")]
        log.insert(number, JUNK)
    stored(broker, run_id, logs)
    follow(broker, tmp_path, run_id)
    result = verified(broker, tmp_path / run_id)
    assert (result.steps, result.offsets["quarantined"]) == (7, 15)
    assert sum(result.offsets.values()) == sum(map(len, logs))
    assert_shows(tmp_path / run_id, dict.fromkeys(range(7), source))


@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_two_attempts_agree_with_kafka(broker: BrokerInfo, run_id: str, tmp_path: Path, on_end: str) -> None:
    old, new = a_run(run_id), a_run(run_id, attempt=1, after_step=1)
    log = old.logs(range(4), None)[0] + old.step(4)[:2] + new.logs(range(2, 6))[0]
    stored(broker, run_id, [log])
    follow(broker, tmp_path, run_id, on_end=on_end)
    result = verified(broker, tmp_path / run_id)
    assert (result.steps, result.offsets["superseded"]) == (6, 2 * len(old.step(0)) + 2)
    assert_shows(tmp_path / run_id, {0: old, 1: old} | dict.fromkeys(range(2, 6), new))


@pytest.mark.parametrize("status", ["stopped", "completed"])
def test_the_next_attempt_is_followed_by_name(
    broker: BrokerInfo, run_id: str, tmp_path: Path, status: str
) -> None:
    old, new = a_run(run_id), a_run(run_id, attempt=1, after_step=1)
    stored(broker, run_id, old.logs(range(3), status))
    follow(broker, tmp_path, run_id)
    assert verified(broker, tmp_path / run_id).status == status
    produce(broker, run_id, new.logs(range(2, 5)))
    follow(broker, tmp_path, run_id)
    assert verified(broker, tmp_path / run_id).status == "completed"
    assert_shows(tmp_path / run_id, {0: old, 1: old} | dict.fromkeys(range(2, 5), new))


def test_markers_of_transactions_are_accounted_for(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    (log,) = a_run(run_id).logs(range(3))
    make_topic(broker, run_id)
    producer = Producer(options(broker) | {"transactional.id": run_id})
    producer.init_transactions(20)
    for finish, part in [(producer.commit_transaction, log[:8]), (producer.abort_transaction, [JUNK] * 3)]:
        producer.begin_transaction()
        for headers, value in part:
            producer.produce(run_topic(run_id), value, partition=0, headers=headers)
        producer.flush(20)
        finish(20)
    produce(broker, run_id, [log[8:]])
    follow(broker, tmp_path, run_id)
    result = verified(broker, tmp_path / run_id)
    assert (result.steps, result.offsets["quarantined"]) == (3, 5)  # two markers, three aborted records


def test_what_kafka_has_and_the_archive_has_not(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    source = a_run(run_id)
    (log,) = source.logs(range(3))
    stored(broker, run_id, [log])
    follow(broker, tmp_path, run_id)
    late = replace(source, seed=1)
    produce(broker, run_id, [[record(late.manifest(9))]])
    checked = run(
        LOCKSTREAM, "archive", "verify", "--json", "--against-kafka", tmp_path, env=environment(broker)
    )
    assert checked.returncode == 3
    (fault,) = json.loads(checked.stdout)[0]["faults"]
    assert fault["offsets"] == [len(log), len(log)]
    follow(broker, tmp_path, run_id)
    assert verified(broker, tmp_path / run_id).offsets["quarantined"] == 1


@pytest.mark.parametrize("on_end", ["links", "merge"])
def test_what_retention_left_is_still_compared(
    broker: BrokerInfo, run_id: str, tmp_path: Path, on_end: str
) -> None:
    (log,) = a_run(run_id).logs(range(4))
    stored(broker, run_id, [log])
    follow(broker, tmp_path, run_id, segment_bytes=1, on_end=on_end)
    delete_before(broker, run_id, 9)
    assert verified(broker, tmp_path / run_id).steps == 4
    path = [*segment_paths(tmp_path / run_id)[:4], tmp_path / run_id / "run.h5"][
        3 if on_end == "links" else 0
    ]
    with h5py.File(path, "r+") as file:
        file["lockstream/digest"][-1] = b"0" * 64
    assert [fault.step for fault in compare_with_kafka(tmp_path / run_id, options(broker))] == [3]


def test_a_file_in_place_of_the_archive(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("here")
    done = run(
        *[LOCKSTREAM, "archive", "follow", "--archive", tmp_path / "archive", "--run", run_id],
        env=environment(broker),
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot be written" in done.stderr


def test_settings_are_checked(broker: BrokerInfo, run_id: str, tmp_path: Path) -> None:
    done = run(
        *[LOCKSTREAM, "archive", "follow", "--archive", tmp_path, "--set", "archive.segment_byte=1"],
        env=environment(broker),
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean 'segment_bytes'" in done.stderr


def test_a_stopped_archiver_has_sealed_what_is_complete(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    source = a_run(run_id)
    (log,) = source.logs(range(3), None)
    stored(broker, run_id, [log + source.step(3)[:2]])
    stop, seen = Flag(), []
    settings = ArchiveSettings(folder=str(tmp_path))
    archiver = Archiver(options(broker), settings, [run_id], report=lambda _run, event: seen.append(event))
    thread = threading.Thread(target=archiver.follow, args=(stop,))
    thread.start()
    wait_until(lambda: len(seen) == 4)
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert verified(broker, tmp_path / run_id).steps == 3


def test_a_run_that_was_stopped_is_waited_for_until_it_is_completed(
    broker: BrokerInfo, run_id: str, tmp_path: Path
) -> None:
    first, second = a_run(run_id), a_run(run_id, attempt=1, after_step=1)
    stored(broker, run_id, first.logs([0, 1], "stopped"))
    with following(broker, tmp_path, run_id, until="completed"):
        wait_until(lambda: segment_paths(tmp_path / run_id))
        produce(broker, run_id, second.logs([2, 3]))
        wait_until(lambda: merged_file(tmp_path / run_id) is not None)
    assert verified(broker, tmp_path / run_id).status == "completed"
    assert_shows(tmp_path / run_id, {0: first, 1: first, 2: second, 3: second})
