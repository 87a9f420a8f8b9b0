import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockstream.kafka.broker.process import ProcessIdentity, identify, spawn_detached

LIMIT = 20.0
SLEEP = ["/bin/sleep", "60"]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def test_a_running_process_is_alive(child: subprocess.Popen[bytes]) -> None:
    assert identify(child.pid).alive()
    assert identify(os.getpid()).alive()


def test_the_same_pid_of_another_process_or_another_boot_is_not_it() -> None:
    myself = identify(os.getpid())
    assert not replace(myself, started=myself.started + 1).alive()
    assert not replace(myself, boot="before").alive()


def test_a_process_that_has_ended_is_not_alive_not_even_as_a_zombie(child: subprocess.Popen[bytes]) -> None:
    identity = identify(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and nobody has reaped it
    assert not identity.alive()
    child.wait(LIMIT)
    assert not identity.alive()
    with pytest.raises(ProcessLookupError):
        identify(child.pid)


def test_waiting_for_the_end_has_a_limit(child: subprocess.Popen[bytes]) -> None:
    identity = identify(child.pid)
    assert not identity.wait_gone(0.0)
    identity.signal(signal.SIGTERM)
    assert identity.wait_gone(LIMIT)


def test_signals_go_to_nobody_else(child: subprocess.Popen[bytes]) -> None:
    replace(identify(child.pid), started=1).signal(signal.SIGKILL)
    assert identify(child.pid).alive()


def test_a_detached_program_runs_in_its_folder_in_a_session_of_its_own(tmp_path: Path) -> None:
    output = tmp_path / "output"
    command = ["/bin/sh", "-c", "pwd; echo $WORD; echo oops >&2; cut -d' ' -f6 /proc/self/stat"]
    env = {"WORD": "word", "PATH": "/bin:/usr/bin"}
    spawned = spawn_detached(command, folder=tmp_path, output=output, env=env)
    assert spawned.wait_gone(LIMIT)
    assert output.read_text().split() == [str(tmp_path), "word", "oops", str(spawned.pid)]


@pytest.mark.parametrize(("spawn", "survives"), [("spawn_tied", False), ("spawn_detached", True)])
def test_only_a_tied_program_ends_with_the_process_that_started_it(
    tmp_path: Path, spawn: str, survives: bool
) -> None:
    script = (
        "import os, signal; from pathlib import Path; from lockstream.kafka.broker.process import *\n"
        f"spawned = {spawn}({SLEEP!r}, folder=Path({str(tmp_path)!r}), output=Path(os.devnull), env={{}})\n"
        "print(spawned.pid, spawned.started, spawned.boot, flush=True)\n"
        "while Path(f'/proc/{spawned.pid}/comm').read_text().strip() != 'sleep': pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    pid, started, boot = parent.stdout.split()
    spawned = ProcessIdentity(pid=int(pid), started=int(started), boot=boot)
    try:
        assert spawned.wait_gone(0.5 if survives else LIMIT) is not survives
    finally:
        spawned.signal(signal.SIGKILL)
