"""Rank 0's end of the publisher: starts the process, hands it steps, and hears how far they have come."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple, TypeVar

from lockstream.bridge import link_messages as words
from lockstream.bridge.control import Command
from lockstream.bridge.errors import DeliveryFailed, UserError
from lockstream.bridge.frames import Step
from lockstream.bridge.link_messages import FromPublisher, ToPublisher
from lockstream.bridge.messages import RunEnded, Steered, check_diagnostics
from lockstream.bridge.slots import Slots

START_SECONDS = 60.0
END_SECONDS = 30.0  # more than the publisher was given
LAUNCHERS = ("PMI", "OMPI_")  # what tells a process that it is a rank, which the publisher is not
W = TypeVar("W", bound=FromPublisher)
_log = logging.getLogger("lockstream.bridge")
_left_alone: list[subprocess.Popen[bytes]] = []


class Progress(NamedTuple):
    """How far a stream has come.

    Parameters
    ----------
    accepted
        Steps that the publisher has taken over.
    acknowledged
        Of these, steps that Kafka has stored.
    spooled
        Steps that are in the spool and not acknowledged yet.
    spilled
        Steps that went through the spool at any time.
    dropped
        Steps that were left out, each with a gap in the stream.
    outstanding
        Bytes sent and not acknowledged.
    throttled_ms
        Milliseconds by which Kafka has delayed its answers to hold a quota.
    """

    accepted: int
    acknowledged: int
    spooled: int
    spilled: int
    dropped: int
    outstanding: int
    throttled_ms: int


class PublisherLink:
    """A publisher in a process of its own.

    Parameters
    ----------
    slots
        The frames that both share.
    begin
        The first word.

    Raises
    ------
    UserError, DeliveryFailed
        If the run cannot be opened.
    """

    def __init__(self, slots: Slots, begin: words.Begin) -> None:
        self.started, self.slots = begin.started, slots
        self.stop_reason = ""
        """Why the simulation should stop in good order; empty while it need not."""
        self.is_refused = False
        """Whether that is for good."""
        self._free = deque(range(begin.slots))
        self._commands: list[Command] = []
        self._accepted = 0
        self._process, self._connection = _start(slots)
        try:
            self._say(begin)
            self._await(words.Ready, time.monotonic() + START_SECONDS + begin.settings.close_timeout)
        except BaseException:
            self.abandon()
            raise

    def acquire(self, timeout: float) -> int | None:
        """Borrow a slot to fill; None if there is none within `timeout` seconds or the simulation should stop.

        Raises
        ------
        DeliveryFailed
            If the publisher is gone.
        """
        deadline = time.monotonic() + timeout
        self._listen(0.0)
        while not self.stop_reason:
            if self._free:
                return self._free.pop()  # the one used last: it is still in the cache
            if (left := deadline - time.monotonic()) <= 0:
                return None
            self._listen(left)
        return None

    def give_back(self, slot: int) -> None:
        """Return a borrowed slot that will not be submitted after all."""
        self._free.append(slot)

    def submit(self, slot: int, step: Step) -> None:
        """Accept the step that is in a slot.

        Raises
        ------
        ValueError
            If a diagnostic cannot be a variable beside the fields; the slot is still the caller's.
        """
        check_diagnostics(self.started, step.diagnostics)
        self._say(
            words.Submit(slot=slot, step=step.number, time=step.time, diagnostics=dict(step.diagnostics))
        )
        self._accepted += 1

    def say(self, message: Steered) -> None:
        """Send a message in its place between the steps."""
        self._say(words.Say(message=message))

    def commands(self) -> list[Command]:
        """Return the commands to the run that have come since the last call, without waiting."""
        self._listen(0.0)
        arrived, self._commands = self._commands, []
        return arrived

    def show(self, publish_seconds: float, wait_seconds: float, longest_wait: float) -> None:
        """Count what observing cost, where the publisher's metrics find it."""
        self.slots.count(
            accepted=self._accepted,
            publish_us=round(publish_seconds * 1e6),
            wait_us=round(wait_seconds * 1e6),
            longest_wait_us=round(longest_wait * 1e6),
        )

    def sync(self, timeout: float) -> words.Synced:
        """Wait until everything accepted is acknowledged or on the disk; see `Publisher.sync`."""
        self._say(words.Sync(timeout=timeout))
        return self._await(words.Synced, time.monotonic() + timeout + END_SECONDS)

    def close(self, ended: RunEnded, timeout: float) -> words.Closed:
        """End the run and the process; see `Publisher.close`."""
        self._say(words.Close(ended=ended, timeout=timeout))
        try:
            return self._await(words.Closed, time.monotonic() + timeout + END_SECONDS)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave the publisher to itself: it delivers or spools what it has accepted, and ends."""
        self._connection.close()
        self.slots.close()
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            _left_alone.append(self._process)  # it has something left to do, and nobody waits for it

    @property
    def progress(self) -> Progress:
        """How far it has come; after the end, how far it came."""
        if not self._connection.closed:
            self._listen(0.0)
        counted = self.slots.counted()
        return Progress(
            self._accepted,
            *(counted[name] for name in Progress._fields[1:]),
        )

    def _say(self, word: ToPublisher) -> None:
        try:
            self._connection.send_bytes(words.encode(word))
        except OSError:
            self._listen(0.0)  # its last words, if there are any
            raise self._gone() from None

    def _listen(self, timeout: float) -> list[FromPublisher]:
        """Take in what the publisher says within `timeout` seconds, or at once if it has spoken already."""
        heard: list[FromPublisher] = []
        while self._connection.poll(timeout):
            try:
                word = words.from_publisher.decode(self._connection.recv_bytes())
            except (EOFError, OSError):
                if heard:
                    break  # its last words first
                raise self._gone() from None
            self._note(word)
            heard.append(word)
            timeout = 0.0
        return heard

    def _note(self, word: FromPublisher) -> None:
        match word:
            case words.Freed():
                self._free.append(word.slot)
            case words.Commanded():
                self._commands.append(word.command)
            case words.StopWanted():
                self.stop_reason, self.is_refused = word.reason, word.is_final
            case words.Note():
                _log.warning("run %s: %s", self.started.run, word.text)
            case words.Failed():
                raise DeliveryFailed(f"run {self.started.run!r} cannot be published any further: {word.text}")
            case words.Refused():
                raise UserError(word.text) if word.is_users else DeliveryFailed(word.text)
            case _:
                pass

    def _await(self, kind: type[W], deadline: float) -> W:
        while (left := deadline - time.monotonic()) > 0:
            for word in self._listen(left):
                if isinstance(word, kind):
                    return word
        raise DeliveryFailed(
            f"run {self.started.run!r}: the publisher, process {self._process.pid}, does not answer"
        )

    def _gone(self) -> DeliveryFailed:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        done = self.slots.counted()["acknowledged"]
        return DeliveryFailed(
            f"run {self.started.run!r}: the publisher, process {self._process.pid}, has ended (exit code "
            f"{self._process.returncode}); of {self._accepted} accepted steps {done} are acknowledged for certain"
        )


def _start(slots: Slots) -> tuple[subprocess.Popen[bytes], Connection]:
    """Start the process; it has a session of its own, so that it outlives the simulation if it must."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "lockstream.bridge.publisher_process"]
    with theirs:
        process = subprocess.Popen(
            [*command, str(theirs.fileno()), str(slots.descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the launcher waits for the end of what it has given to rank 0
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), slots.descriptor),
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)},
        )
    return process, Connection(ours.detach())
