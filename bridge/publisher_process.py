"""The publisher as a process beside rank 0: ``python -m lockstream.bridge.publisher_process SOCKET MEMORY``.

Both arguments are inherited file descriptors. It ends when it is told to close, or when rank 0 is gone: then it
delivers or spools what was accepted, without saying that the run has ended.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from lockstream.bridge import link_messages as words
from lockstream.bridge.client import servers_of
from lockstream.bridge.control_reader import ControlReader, prepare_control_topic
from lockstream.bridge.errors import (
    BrokerUnreachable,
    ConfigurationError,
    LockstreamError,
    SpoolLocked,
    UserError,
)
from lockstream.bridge.frames import Step
from lockstream.bridge.link_messages import FromPublisher
from lockstream.bridge.messages import run_topic
from lockstream.bridge.metrics import MetricsFile, exposition
from lockstream.bridge.opening import make_topic, producer_maker
from lockstream.bridge.publisher import Publisher
from lockstream.bridge.slots import Slots
from lockstream.bridge.spool import Spool
from lockstream.bridge.spool_folder import SpoolAbout
from lockstream.bridge.spool_place import spool_place, usable_place

COMMAND_SECONDS = 0.1  # between two looks for commands
PLACE_SECONDS = 10.0
AGAIN_SECONDS = 1.0  # between two attempts to reach a broker that was not there at the start


def main(socket: int, memory: int) -> None:
    """Serve one run from its first word to its last."""
    connection = Connection(socket)
    begin = words.to_publisher.decode(connection.recv_bytes())
    if not isinstance(begin, words.Begin):
        raise TypeError(f"the first word must be Begin, got {type(begin).__name__}")
    move_to(begin.processors)
    slots = Slots(memory, begin.started.fields, begin.slots)
    serve(connection, begin, slots, _heed_signals)


def serve(
    connection: Connection, begin: words.Begin, slots: Slots, opened: Callable[[Publisher], None]
) -> None:
    """Open the run, say so, and do what rank 0 says until its last word or its end.

    Parameters
    ----------
    connection, begin, slots
        The line to rank 0, its first word, and the memory shared with it.
    opened
        Called with the publisher once the run is open.
    """
    voice = _Voice(connection)
    with ExitStack() as stack:
        try:
            if begin.settings.metrics:
                stack.enter_context(_metrics(begin, slots))
            publisher = _open(begin, slots, voice, stack)
        except LockstreamError as error:
            voice.tell(words.Refused(text=str(error), is_users=isinstance(error, UserError)))
            return
        stack.callback(publisher.stop)
        opened(publisher)
        voice.tell(words.Ready())
        _obey(connection, publisher, begin.settings.close_timeout)
        voice.closed.wait()


def move_to(processors: tuple[int, ...]) -> None:
    """Leave the core that rank 0 is bound to, if there is another."""
    if processors:
        with suppress(OSError):
            os.sched_setaffinity(0, processors)


def _metrics(begin: words.Begin, slots: Slots) -> MetricsFile:
    started = begin.started
    path = Path(begin.settings.metrics).expanduser()
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise ConfigurationError("stream.metrics", str(path), "name a file in a folder that may be written")
    return MetricsFile(path, lambda: exposition(slots.counted(), started.run, started.attempt))


def _heed_signals(publisher: Publisher) -> None:
    """Whoever ends a whole job tells this process too, and kills it half a minute later."""
    signal.signal(signal.SIGTERM, lambda *_: publisher.hurry())


class _Voice:
    """Says things to rank 0, from any thread; nobody may be listening any more."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self.closed = threading.Event()

    def tell(self, word: FromPublisher) -> None:
        with self._lock, suppress(OSError):
            self._connection.send_bytes(words.encode(word))
        if isinstance(word, words.Closed | words.Failed):
            self.closed.set()


def _open(begin: words.Begin, slots: Slots, voice: _Voice, stack: ExitStack) -> Publisher:
    settings, started = begin.settings, begin.started
    start_producer = producer_maker(settings, started.step_bytes, begin.options, _throttle_count(slots))
    is_open = True
    try:
        if begin.control_topic:
            _listen(begin, voice, stack)  # before anybody can know of the run
        make_topic(started, settings, begin.options)
    except BrokerUnreachable:
        if settings.require_broker:
            raise
        is_open = False
    spool = stack.enter_context(_hold_spool(begin))
    topic = run_topic(started.run)
    publisher = Publisher(
        start_producer, topic, started, settings, spool, slots.frames, voice.tell, slots, is_open=is_open
    )
    if not is_open:
        threading.Thread(target=_open_later, args=(begin, publisher), daemon=True).start()
    return publisher


def _throttle_count(slots: Slots) -> Callable[[float], None]:
    """Return what counts the delays by which Kafka holds a quota; zero seconds say that one is over."""

    def throttled(seconds: float) -> None:
        if seconds > 0:
            before = slots.counted()
            slots.count(
                throttled=before["throttled"] + 1,
                throttled_ms=before["throttled_ms"] + round(seconds * 1000),
            )

    return throttled


def _hold_spool(begin: words.Begin) -> Spool:
    """Open the run's spool; the publisher of an attempt that was killed may still be delivering."""
    settings, started = begin.settings, begin.started
    place = usable_place(spool_place(settings.spool), started.step_bytes)
    about = SpoolAbout(
        run=started.run,
        topic=run_topic(started.run),
        partitions=started.partitions,
        replication=settings.replication,
        retention_hours=settings.retention_hours,
        servers=servers_of(begin.options),
    )
    limit = time.monotonic() + settings.close_timeout
    while True:
        try:
            spool = Spool(place / started.run, settings.spool_bytes, about)
            break
        except SpoolLocked:
            if started.attempt == 0 or time.monotonic() > limit:
                raise
            time.sleep(AGAIN_SECONDS)
    if started.attempt == 0 and spool.items:
        folder, items = spool.folder, spool.items
        spool.close()
        problem = (
            f"the spool {folder} holds {items} items of a run of that name that Kafka has not taken; deliver them with "
            "'lockstream spool drain', go on with that run (simulate --resume), or remove the folder"
        )
        raise ConfigurationError("run.id", started.run, problem)
    return spool


def _open_later(begin: words.Begin, publisher: Publisher) -> None:
    """Make the topic as soon as a broker answers."""
    while True:
        try:
            make_topic(begin.started, begin.settings, begin.options)
        except BrokerUnreachable:
            time.sleep(AGAIN_SECONDS)
        except LockstreamError as error:
            publisher.refuse(str(error))
            return
        else:
            publisher.open_log()
            return


def _listen(begin: words.Begin, voice: _Voice, stack: ExitStack) -> None:
    """Hand on the commands to the run."""
    prepare_control_topic(begin.options, begin.control_topic, begin.settings.replication)
    reader = stack.enter_context(ControlReader(begin.options, begin.control_topic, begin.started.run))
    reader.place(PLACE_SECONDS)
    ended = threading.Event()

    def hand_on() -> None:
        while not ended.wait(COMMAND_SECONDS):
            for command in reader.poll():
                voice.tell(words.Commanded(command=command))

    thread = threading.Thread(target=hand_on, name="lockstream-control", daemon=True)
    thread.start()
    stack.callback(thread.join)
    stack.callback(ended.set)


def _obey(connection: Connection, publisher: Publisher, close_timeout: float) -> None:
    while True:
        try:
            word = words.to_publisher.decode(connection.recv_bytes())
        except (EOFError, OSError):  # rank 0 is gone
            publisher.close(None, close_timeout)
            return
        match word:
            case words.Submit():
                publisher.submit(word.slot, Step(word.step, word.time, word.diagnostics))
            case words.Say():
                publisher.say(word.message)
            case words.Sync():
                publisher.sync(word.timeout)
            case words.Close():
                publisher.close(word.ended, word.timeout)
                return
            case _:
                raise TypeError(f"unexpected {type(word).__name__}")


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGUSR1):  # rank 0 hears them too and says what is to be done
        signal.signal(number, signal.SIG_IGN)
    main(int(sys.argv[1]), int(sys.argv[2]))
