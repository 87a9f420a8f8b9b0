"""Processor time, of this process and of another one."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.waiting import wait_until

from lockstream.contrast.cpu import cpu_seconds, on_any_core, own_cpu_seconds


def test_the_time_of_a_process_is_the_same_from_inside_and_outside() -> None:
    before = own_cpu_seconds()
    assert before <= cpu_seconds(os.getpid()) + 0.02
    assert cpu_seconds(os.getpid()) <= own_cpu_seconds() + 0.02


def test_the_time_of_another_process_grows_as_it_works() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        try:
            begun = cpu_seconds(other.pid)
            wait_until(lambda: cpu_seconds(other.pid) > begun + 0.05)
            other.send_signal(signal.SIGSTOP)
            wait_until(lambda: _state(other.pid) == "T")
            stopped = cpu_seconds(other.pid)
            time.sleep(0.02)  # in which it would go on, if it did
            assert cpu_seconds(other.pid) == stopped
        finally:
            other.kill()


def test_a_process_that_is_not_there_has_no_time() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(30)
    with pytest.raises(OSError, match="Invalid argument"):
        cpu_seconds(gone.pid)


def test_pinning_comes_back() -> None:
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        with on_any_core(cores):
            assert os.sched_getaffinity(0) == cores
        assert os.sched_getaffinity(0) == {min(cores)}
    finally:
        os.sched_setaffinity(0, cores)


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]
