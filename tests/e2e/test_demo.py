"""`lockstream demo` as a newcomer starts it: what it leaves is right, and what it started is gone, however it ends."""

import os
import re
import shlex
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import pytest
from support import marked
from support.programs import BIN, LOCKSTREAM, run
from support.waiting import wait_until

MARK = "TEST_OF_THE_DEMO"
END_SECONDS = 30.0


class Demo(NamedTuple):
    """A demo that has ended."""

    folder: Path
    archive: Path
    run_id: str
    out: str


def environment(mark: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKSTREAM_KAFKA")}
    return kept | {MARK: mark, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def processes(mark: str, folder: Path) -> list[str]:
    """Command lines of what a demo started."""
    return list(marked.processes(MARK, mark, folder).values())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder, mark = tmp_path_factory.mktemp("demo"), uuid.uuid4().hex
    ended = run(LOCKSTREAM, "demo", "--dir", folder, env=environment(mark), timeout=110)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert processes(mark, folder) == []
    archived = re.search(r"^archive  (.+)/(.+)/run\.h5$", ended.stdout, re.MULTILINE)
    assert archived is not None
    return Demo(folder, Path(archived[1]), archived[2], ended.stdout)


def test_the_table_tells_what_is_there(demo: Demo) -> None:
    def told(row: str) -> str:
        (line,) = (line for line in demo.out.splitlines() if line.startswith(row))
        return line.removeprefix(row).strip()

    with h5py.File(demo.archive / demo.run_id / "run.h5") as file:
        steps, size = len(file["step"]), file["u"].nbytes + file["v"].nbytes
    assert told("steps accepted by the bridge") == str(steps) == "41"
    assert told("steps acknowledged by Kafka") == told("steps archived and verified") == str(steps)
    assert told("bytes of fields") == f"{size / 1e6:.1f} MB"
    assert told("simulation  ").endswith("s on 2 ranks")
    assert "nothing lost, duplicated or torn" in demo.out
    verified = run(LOCKSTREAM, "archive", "verify", demo.archive)
    assert verified.returncode == 0


def test_the_picture_is_one(demo: Demo) -> None:
    picture = Path(re.search(r"^picture  (.+)$", demo.out, re.MULTILINE)[1])  # type: ignore[index]
    content = picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[-8:-4] == b"IEND"
    assert len(content) > 100_000


def test_what_it_names_to_try_next_works(demo: Demo, tmp_path: Path) -> None:
    commands = re.findall(r"^  ((?:lockstream|python) .+)$", demo.out, re.MULTILINE)
    assert len(commands) == 5
    env = environment("next")
    try:
        for command in commands:
            ended = run(*shlex.split(command, comments=True), env=env, cwd=tmp_path)
            assert (ended.returncode, ended.stderr) == (0, ""), command
    finally:
        stopped = run(LOCKSTREAM, "broker", "stop", "--dir", demo.folder / "broker")
    assert stopped.returncode == 0
    assert ended.stdout.endswith("hold the same, bit for bit\n")


def lines_until(process: subprocess.Popen[str], words: str) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line
        if words in line:
            return
    raise AssertionError(f"the demo ended before it said {words!r}")


@pytest.mark.parametrize(
    "words",
    [
        "starting an embedded Kafka",
        "step 800 of",
        pytest.param("Kafka 4", marks=pytest.mark.drill),
        pytest.param("re-read and compared", marks=pytest.mark.drill),
        pytest.param("attempt 0 started", marks=pytest.mark.drill),
        pytest.param("steps analysed here", marks=pytest.mark.drill),
    ],
)
def test_ctrl_c_leaves_nothing_running(tmp_path: Path, words: str) -> None:
    mark = uuid.uuid4().hex
    with subprocess.Popen(
        [LOCKSTREAM, "demo", "--dir", str(tmp_path)],
        env=environment(mark),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            for _ in lines_until(process, words):
                pass
            if words == "starting an embedded Kafka":
                wait_until(lambda: any("kafka.Kafka" in line for line in processes(mark, tmp_path)))
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=END_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.strip() == "lockstream: stopped"
    wait_until(lambda: processes(mark, tmp_path) == [], limit=5)
