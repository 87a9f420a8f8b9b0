import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lockstream.kafka.broker.process import ProcessIdentity, identify

LIMIT = 60.0
COMMAND = [sys.executable, "-c", "from lockstream.cli.main import main; main()", "broker"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A broker's folder in which nothing runs afterwards; a name like this must do no harm."""
    directory = tmp_path / "a folder, with ünusual=name"
    yield directory
    run("stop", "--dir", str(directory))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=LIMIT, check=False)


@contextmanager
def foreground(folder: Path) -> Iterator[tuple[subprocess.Popen[str], ProcessIdentity]]:
    """A broker in the foreground, once it has announced itself; and its JVM."""
    command = [*COMMAND, "start", "--foreground", "--dir", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            words = next(line for line in process.stdout if "is running" in line)
            next(
                line
                for line in process.stdout
                if "export LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:" in line
            )
            yield process, identify(int(words.partition("(pid ")[2].partition(")")[0]))
        finally:
            process.kill()


def test_a_broker_in_the_background_is_started_seen_and_stopped(folder: Path) -> None:
    started = run("start", "--dir", str(folder), "--port", "0", "--heap", "400m")
    assert started.returncode == 0, started.stderr
    assert str(folder / "logs" / "server.log") in started.stdout

    shown = run("status", "--dir", str(folder), "--json")
    facts = json.loads(shown.stdout)
    assert shown.returncode == 0
    assert f"export LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS={facts['bootstrap_servers']}" in started.stdout
    assert facts["kafka_version"] == "4.4.0"
    assert "-Xmx400m" in Path(f"/proc/{facts['pid']}/cmdline").read_text().split("\0")
    assert os.getsid(facts["pid"]) == facts["pid"]  # the terminal's Ctrl-C is not for it

    again = run("start", "--dir", str(folder))
    assert again.returncode == 2
    assert f"(pid {facts['pid']})" in again.stderr

    jvm = identify(facts["pid"])
    stopped = run("stop", "--dir", str(folder))
    assert (stopped.returncode, stopped.stdout) == (0, "The broker has stopped.\n")
    assert not jvm.alive()
    assert run("status", "--dir", str(folder)).returncode == 1


def test_a_start_that_is_interrupted_leaves_no_jvm(folder: Path) -> None:
    command = [*COMMAND, "start", "--dir", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            record, deadline = folder / "running.json", time.monotonic() + LIMIT
            while not record.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
            jvm = identify(json.loads(record.read_bytes())["process"]["pid"])
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    assert process.returncode != 0
    assert "is running" not in output
    assert not jvm.alive()
    assert not record.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_broker_in_the_foreground_ends_in_good_order_on_a_signal(
    folder: Path, number: signal.Signals
) -> None:
    with foreground(folder) as (process, jvm):
        process.send_signal(number)
        assert process.wait(LIMIT) == 0
        assert not jvm.alive()
    # Kafka marks its data when it has closed them in good order.
    assert (folder / "data" / ".kafka_cleanshutdown").exists()


def test_a_broker_in_the_foreground_may_be_stopped_from_elsewhere(folder: Path) -> None:
    with foreground(folder) as (process, jvm):
        assert run("stop", "--dir", str(folder)).stdout == "The broker has stopped.\n"
        assert process.wait(LIMIT) == 0
        assert not jvm.alive()


def test_the_foreground_ends_with_an_error_when_kafka_is_killed(folder: Path) -> None:
    with foreground(folder) as (process, jvm):
        jvm.signal(signal.SIGKILL)
        assert process.wait(LIMIT) == 1


def test_no_jvm_survives_a_foreground_that_is_killed(folder: Path) -> None:
    with foreground(folder) as (process, jvm):
        process.kill()
        assert jvm.wait_gone(LIMIT)
    assert run("status", "--dir", str(folder)).returncode == 1
