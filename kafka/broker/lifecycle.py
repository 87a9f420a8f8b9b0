"""Starting, stopping and looking at an embedded broker."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lockstream.kafka.broker import process
from lockstream.kafka.broker.artifacts import Progress
from lockstream.kafka.broker.errors import BrokerFailed
from lockstream.kafka.broker.launch import DEFAULT_HEAP, Manner, end, launch, launch_node
from lockstream.kafka.broker.meeting import Seat
from lockstream.kafka.broker.ports import LOOPBACK
from lockstream.kafka.broker.properties import NOTHING, Detour
from lockstream.kafka.broker.state import Running, StateFolder

_ENDED_ON_REQUEST = (0, 128 + signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerInfo:
    """A broker that runs; ``bootstrap_servers`` is what clients set: in a cluster, all of its nodes."""

    directory: Path
    pid: int
    port: int
    cluster_id: str
    kafka_version: str
    java_version: str
    bootstrap_servers: str
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStatus:
    """A broker's folder: what runs there, if anything (`info`), and how much data it holds."""

    directory: Path
    info: BrokerInfo | None
    cluster_id: str | None
    data_bytes: int
    log: Path


class StopOutcome(StrEnum):
    """What `stop` had to do."""

    NOT_RUNNING = "not running"
    STOPPED = "stopped"
    KILLED = "killed"


def start(
    directory: Path | str | None = None,
    *,
    port: int | None = None,
    host: str = LOOPBACK,
    heap: str = DEFAULT_HEAP,
    progress: Progress | None = None,
) -> BrokerInfo:
    """Start a broker that outlives this process, and return once it serves clients.

    Parameters
    ----------
    directory
        Its folder, by default `state.default_folder()`. A second start continues with the data of the first.
    port
        By default that of the folder's last start; at the first one 9092, if it is free. 0: any free one.
    host
        Name or address of the interface that it listens on, and that clients are told. There is neither encryption nor
        authentication: another one than loopback's is for a network whose every user may read and write everything.
    heap
        The JVM's largest heap, e.g. "512m".
    progress
        Is told what is there of the jars, while they are downloaded.

    Raises
    ------
    UserError
        The folder, the port, the Java or the Kafka cannot be used, or a broker runs there already.
    FetchFailed, UntrustedJar
        The jars cannot be had.
    BrokerFailed
        Kafka did not come up.
    """
    folder = StateFolder(directory)
    manner = Manner(spawn=process.spawn_detached, heap=heap, progress=progress)
    return _info(folder, launch(folder, manner, port, host))


@contextmanager
def embedded_broker(
    directory: Path | str | None = None,
    *,
    port: int | None = 0,
    host: str = LOOPBACK,
    heap: str = DEFAULT_HEAP,
    progress: Progress | None = None,
    detour: Detour | None = None,
    more: Mapping[str, str] = NOTHING,
) -> Iterator[BrokerInfo]:
    """Have a broker inside a ``with`` block; its JVM ends with it, and with this process in any case.

    Parameters and errors are those of `start`, but for the port, by default any free one, `detour`: a way
    through a relay of the caller's, and `more`: further lines of server.properties.
    Enter it in a thread that lives as long as the block, best the main one: the JVM ends with it.
    """
    folder = StateFolder(directory)
    manner = Manner(spawn=process.spawn_tied, heap=heap, progress=progress, detour=detour, more=more)
    with _held(folder, launch(folder, manner, port, host)) as info:
        yield info


@contextmanager
def embedded_node(
    directory: Path | str | None,
    seat: Seat,
    *,
    host: str = LOOPBACK,
    heap: str = DEFAULT_HEAP,
    progress: Progress | None = None,
) -> Iterator[BrokerInfo]:
    """Have one node of a cluster inside a ``with`` block, like `embedded_broker`; the others are held elsewhere.

    Raises
    ------
    NodesMissing
        The others did not come.
    """
    folder = StateFolder(directory)
    manner = Manner(spawn=process.spawn_tied, heap=heap, progress=progress)
    with _held(folder, launch_node(folder, manner, seat, host)) as info:
        yield info


@contextmanager
def _held(folder: StateFolder, running: Running) -> Iterator[BrokerInfo]:
    try:
        yield _info(folder, running)
    finally:
        end(running.process)
        folder.forget(running)


def wait(info: BrokerInfo) -> None:
    """Wait for the end of a broker that this process holds as `embedded_broker`.

    Raises
    ------
    BrokerFailed
        It was not asked to end.
    """
    _, waited = os.waitpid(info.pid, 0)
    code = os.waitstatus_to_exitcode(waited)
    if code not in _ENDED_ON_REQUEST:
        folder = StateFolder(info.directory)
        raise BrokerFailed(f"Kafka has ended by itself (exit code {code})", folder.log, folder.last_words())


def stop(directory: Path | str | None = None) -> StopOutcome:
    """Stop the folder's broker in good order, or with force when it does not end in half a minute.

    Raises
    ------
    BrokerElsewhere
        It was started on another machine.
    BrokerFailed
        It does not end.
    """
    folder = StateFolder(directory)
    running = folder.running()
    if running is None:
        return StopOutcome.NOT_RUNNING
    in_good_order = end(running.process)
    if running.process.alive():
        raise BrokerFailed(f"the broker (pid {running.process.pid}) does not end", folder.log, [])
    folder.forget(running)
    return StopOutcome.STOPPED if in_good_order else StopOutcome.KILLED


def status(directory: Path | str | None = None) -> BrokerStatus:
    """Look at a folder's broker, without changing anything.

    Raises
    ------
    BrokerElsewhere
        It was started on another machine.
    """
    folder = StateFolder(directory)
    running = folder.running()
    return BrokerStatus(
        directory=folder.root,
        info=_info(folder, running) if running else None,
        cluster_id=folder.cluster_id(),
        data_bytes=folder.data_bytes(),
        log=folder.log,
    )


def _info(folder: StateFolder, running: Running) -> BrokerInfo:
    return BrokerInfo(
        directory=folder.root,
        pid=running.process.pid,
        port=running.port,
        bootstrap_servers=running.bootstrap_servers,
        cluster_id=running.cluster_id,
        kafka_version=running.kafka,
        java_version=running.java,
        log=folder.log,
    )
