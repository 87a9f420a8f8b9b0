"""`lockstream archive follow` as a process of its own, to be stopped, killed and cut off from its disk."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lockstream.kafka.broker import BrokerInfo
from support.programs import LOCKSTREAM, run
from support.waiting import wait_until

TESTS = Path(__file__).parents[1]
QUICK = "kafka.fetch.wait.max.ms=20"
TINY_FETCHES = (
    "kafka.queued.min.messages=1",
    "kafka.queued.max.messages.kbytes=1",
    "kafka.fetch.max.bytes=4096",
    "kafka.message.max.bytes=4096",
)
"""So that a stopped archiver has hardly anything in memory that Kafka has lost meanwhile."""


def environment(broker: BrokerInfo) -> dict[str, str]:
    return {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "PYTHONPATH": str(TESTS)}


def follow_words(folder: Path, *runs: str, sets: tuple[str, ...] = ()) -> list[str]:
    named = [word for name in runs for word in ("--run", name)]
    settings = [word for item in (QUICK, *sets) for word in ("--set", item)]
    return ["archive", "follow", "--archive", str(folder), *named, *settings]


def follow_to_end(
    broker: BrokerInfo, folder: Path, *runs: str, sets: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return run(LOCKSTREAM, *follow_words(folder, *runs, sets=sets), env=environment(broker))


def die_at(moment: str, broker: BrokerInfo, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``lockstream`` in a process that kills itself at a moment; see `support.mortal`."""
    return run(sys.executable, "-m", "support.mortal", moment, *words, env=environment(broker))


@contextmanager
def archiver(
    broker: BrokerInfo, folder: Path, *runs: str, sets: tuple[str, ...] = (), under: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[str]]:
    """``lockstream archive follow`` in the background; SIGKILLed when the block ends, if it still runs.

    Parameters
    ----------
    under
        A program that starts it, e.g. ``prlimit …``.
    """
    with subprocess.Popen(
        [*under, LOCKSTREAM, *follow_words(folder, *runs, sets=sets)],
        env=os.environ | environment(broker),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def end_and_peak_of(process: subprocess.Popen[str], limit: float = 60) -> tuple[int, int]:
    """Wait for an archiver's end: its exit code, and the most memory that it ever had, in bytes."""
    ended: list[tuple[int, int]] = []

    def has_ended() -> bool:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            ended.append((process.returncode, usage.ru_maxrss * 1024))
        return bool(pid)

    wait_until(has_ended, limit)
    return ended[0]


def end_of(process: subprocess.Popen[str], limit: float = 40) -> tuple[int, str]:
    """Wait for an archiver's end: its exit code and what it said on standard error."""
    _, err = process.communicate(timeout=limit)
    return process.returncode, err
