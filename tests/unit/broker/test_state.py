import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from lockstream.kafka.broker.errors import BrokerAlreadyRunning, BrokerElsewhere, UnusableFolder
from lockstream.kafka.broker.process import identify
from lockstream.kafka.broker.state import Running, Settings, StateFolder, default_folder


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def running(**changes: object) -> Running:
    record = Running(
        process=identify(os.getpid()),
        host=socket.gethostname(),
        port=9092,
        bootstrap_servers="127.0.0.1:9092",
        cluster_id="c",
        kafka="4.4.0",
        java="17.0.15",
    )
    return replace(record, **changes)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "broker")
    made.prepare()
    return made


def test_looking_at_a_folder_does_not_make_it(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "broker")
    assert folder.running() is None
    assert folder.settings() is None
    assert folder.cluster_id() is None
    assert folder.data_bytes() == 0
    assert folder.last_words() == []
    assert not folder.root.exists()


def test_only_the_owner_may_read_the_data(folder: StateFolder) -> None:
    assert folder.root.stat().st_mode & 0o077 == 0


def test_settings_are_kept(folder: StateFolder) -> None:
    folder.record_settings(Settings(port=29123))
    assert StateFolder(folder.root).settings() == Settings(port=29123)


def test_a_second_start_is_refused_with_the_pid(folder: StateFolder) -> None:
    folder.record_running(running())
    with pytest.raises(BrokerAlreadyRunning, match=rf"pid {os.getpid()}.*broker stop"), folder.starting():
        pytest.fail("two brokers on one folder")


def test_the_record_of_a_dead_process_is_stale(folder: StateFolder) -> None:
    myself = identify(os.getpid())
    folder.record_running(running(process=replace(myself, started=myself.started - 1)))
    assert folder.running() is None
    with folder.starting():
        assert folder.running() is None


def test_a_record_is_dropped_only_by_the_start_that_made_it(folder: StateFolder) -> None:
    folder.record_running(running())
    folder.forget(running(port=2))
    assert folder.running() == running()
    folder.forget(running())
    assert folder.running() is None


def test_of_two_simultaneous_starts_one_is_refused_with_the_pid_of_the_other(folder: StateFolder) -> None:
    refused = pytest.raises(BrokerAlreadyRunning, match=rf"just being started \(pid {os.getpid()}\)")
    with folder.starting(), refused, folder.starting():
        pytest.fail("two starts at once")


def test_a_start_that_failed_does_not_stand_in_the_way_of_the_next(folder: StateFolder) -> None:
    with pytest.raises(KeyboardInterrupt), folder.starting():
        raise KeyboardInterrupt
    with folder.starting():
        assert folder.running() is None


def test_a_broker_on_another_machine_is_never_taken_for_dead(folder: StateFolder) -> None:
    folder.record_running(running(host="login1"))
    with pytest.raises(BrokerElsewhere, match=r"'login1'.*use this command there"):
        folder.running()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"port": "many"}', b"\xff"])
def test_a_damaged_record_is_named_with_the_cure(folder: StateFolder, content: bytes) -> None:
    path = folder.root / "broker.json"
    path.write_bytes(content)
    with pytest.raises(UnusableFolder, match=f"broker.json is damaged.*delete {path}"):
        folder.settings()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableFolder, match=r"file/broker: Not a directory; give --dir"):
        StateFolder(tmp_path / "file" / "broker").prepare()


def test_a_folder_that_cannot_be_written_is_named(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = folder.root / "server.properties"
    foreign.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: path != foreign)  # root may write everywhere
    with pytest.raises(UnusableFolder, match=f"{foreign} is not writable"):
        folder.prepare()


def test_a_full_disk_is_named_before_kafka_finds_it(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 2**20, 2**20))
    with pytest.raises(UnusableFolder, match="only 1 MiB are free"):
        folder.prepare()


def test_the_cluster_id_is_the_one_that_kafka_wrote(folder: StateFolder) -> None:
    (folder.data / "meta.properties").write_text("#\n#Mon Nov 23\nnode.id=1\ncluster.id=AbC-_1\nversion=1\n")
    assert folder.cluster_id() == "AbC-_1"


def test_the_size_of_the_data_does_not_count_holes(folder: StateFolder) -> None:
    (folder.data / "topic-0").mkdir()
    with (folder.data / "topic-0" / "00.index").open("wb") as index:
        index.truncate(10 * 2**20)
    (folder.data / "topic-0" / "00.log").write_bytes(b"x" * 100_000)
    assert 100_000 <= folder.data_bytes() < 2**20


def test_last_words_are_few_and_without_stack_traces(folder: StateFolder) -> None:
    trace = "".join(f"\tat org.apache.Kafka.line({number})\n" for number in range(40))
    folder.console.write_text("old\n" * 30 + "ERROR the disk is full\n\n" + trace)
    assert folder.last_words()[-1] == "ERROR the disk is full"
    assert len(folder.last_words()) == 15


def test_the_default_folder_follows_xdg_state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder() == StateFolder().root == tmp_path / "lockstream" / "broker"
