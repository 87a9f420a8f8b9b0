"""A publisher that is served by a thread instead of a process, with a producer of the test's own."""

import os
import socket
import subprocess
import threading
from multiprocessing.connection import Connection
from typing import Any

import pytest

from lockstream.bridge import link, link_messages, publisher_process
from lockstream.bridge.slots import Slots
from support.producer import FakeProducer


class FakeProcess:
    """The part of ``subprocess.Popen`` that rank 0 uses."""

    pid, returncode = 12345, 0

    def __init__(self, thread: threading.Thread, line: socket.socket) -> None:
        self._thread, self._line = thread, line

    def hang_up(self) -> None:
        """Let rank 0 find the line dead."""
        self._line.shutdown(socket.SHUT_RDWR)

    def wait(self, timeout: float) -> int:
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise subprocess.TimeoutExpired("publisher", timeout)
        self._line.close()
        return 0


def serve_in_thread(patch: pytest.MonkeyPatch, producer: FakeProducer) -> list[FakeProcess]:
    """Have every publisher served by a thread; returns the list of those that were started."""
    started: list[FakeProcess] = []

    def start(slots: Slots) -> tuple[Any, Connection]:
        ours, theirs = socket.socketpair()
        line, memory = Connection(os.dup(theirs.fileno())), os.dup(slots.descriptor)

        def run() -> None:
            with line:
                begin = link_messages.to_publisher.decode(line.recv_bytes())
                assert isinstance(begin, link_messages.Begin)
                shared = Slots(memory, begin.started.fields, begin.slots)
                publisher_process.serve(line, begin, shared, lambda _publisher: None)
                shared.close()

        thread = threading.Thread(target=run, name="lockstream-served", daemon=True)
        thread.start()
        started.append(FakeProcess(thread, theirs))
        return started[-1], Connection(ours.detach())

    patch.setattr(link, "_start", start)
    patch.setattr(publisher_process, "producer_maker", lambda *_: lambda: producer)
    patch.setattr(publisher_process, "make_topic", lambda *_: None)
    return started
