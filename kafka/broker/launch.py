"""Bringing up the JVM that serves a broker's folder, and ending it."""

import re
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lockstream.bridge.errors import ConfigurationError
from lockstream.kafka.broker.artifacts import Progress
from lockstream.kafka.broker.class_archive import reading_flags
from lockstream.kafka.broker.distribution import find_kafka
from lockstream.kafka.broker.errors import BrokerFailed
from lockstream.kafka.broker.java import Java, find_java
from lockstream.kafka.broker.jvm import broker_command, environment
from lockstream.kafka.broker.meeting import Seat
from lockstream.kafka.broker.membership import Address, Membership
from lockstream.kafka.broker.ports import LOOPBACK, check_host, choose_port, free_port
from lockstream.kafka.broker.process import ProcessIdentity
from lockstream.kafka.broker.properties import Detour, server_properties
from lockstream.kafka.broker.readiness import wait_for_majority, wait_until_ready
from lockstream.kafka.broker.state import Running, Settings, StateFolder
from lockstream.kafka.broker.storage import format_storage, new_cluster_id

DEFAULT_HEAP = "512m"

Spawn = Callable[..., ProcessIdentity]
Flags = Callable[[Java], list[str]]

_START_LIMIT = 120.0  # s; 1.5 to 3 are usual, but the machine may be busy, with two more nodes for instance
_STOP_LIMIT = 30.0  # s; under 1 is usual
_KILL_LIMIT = 10.0  # s


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How JVMs are started.

    Parameters
    ----------
    spawn
        `process.spawn_detached` or `process.spawn_tied`.
    heap, progress, more, detour
        As `lifecycle.start` and `lifecycle.embedded_broker` explain them.
    flags
        Gives further flags of the JVM, once it is known which Java is used.
    """

    spawn: Spawn
    heap: str = DEFAULT_HEAP
    progress: Progress | None = None
    flags: Flags = reading_flags
    detour: Detour | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[1-9]\d*[kmgKMG]", self.heap):
            raise ConfigurationError("heap", self.heap, "write a number and its unit, e.g. 512m or 2g")


def launch(folder: StateFolder, manner: Manner, port: int | None, host: str = LOOPBACK) -> Running:
    """Start a JVM that serves the folder as a node alone, wait until it does, and record it."""
    check_host(host)
    folder.prepare()
    with folder.starting():
        settings = folder.settings()
        chosen = choose_port(port, settings.port if settings else None, host)
        address = Address(host=host, port=chosen, controller_port=free_port(chosen, host))
        cluster_id = folder.cluster_id() or new_cluster_id()
        membership = Membership(addresses=[address])
        running = spawn(folder, membership, cluster_id, manner)
        await_service(folder, running, membership)
        folder.record_settings(Settings(port=chosen))
    return running


def launch_node(folder: StateFolder, manner: Manner, seat: Seat, host: str = LOOPBACK) -> Running:
    """Start a JVM that serves the folder as one node of a cluster, and wait until it does."""
    check_host(host)
    folder.prepare()
    with folder.starting():
        take_seat(folder, seat, host)
        membership, cluster_id, is_newcomer = seat.meet()
        # One without data must not help to choose a leader: with one that lags behind it would be the majority.
        if is_newcomer and not wait_for_majority(membership, cluster_id, _START_LIMIT):
            problem = f"the nodes that have the cluster's data did not serve it within {_START_LIMIT:.0f} s"
            raise BrokerFailed(problem, folder.log, [])
        running = spawn(folder, membership, cluster_id, manner)
        seat.take(membership.address, cluster_id, is_formatted=True)
        await_service(folder, running, membership)
    return running


def take_seat(folder: StateFolder, seat: Seat, host: str) -> None:
    """Tell the other nodes where this one will be: where it was, if it has been started in this meeting before.

    Raises
    ------
    PortTaken
        It was on a port that is another program's now.
    """
    last = seat.address()
    if last and last.host == host:
        choose_port(last.port, last.port, host)
        choose_port(last.controller_port, last.controller_port, host)
        address = last
    else:
        port = free_port(host=host)
        address = Address(host=host, port=port, controller_port=free_port(port, host))
    known = folder.cluster_id()
    seat.take(address, known or new_cluster_id(), is_formatted=known is not None)


def spawn(folder: StateFolder, membership: Membership, cluster_id: str, manner: Manner) -> Running:
    """Start a JVM for the folder as this node; it does not serve yet."""
    java, kafka = find_java(), find_kafka(manner.progress)
    settled = server_properties(membership, manner.detour, manner.more)
    folder.properties.write_text(settled, encoding="utf-8")
    if folder.cluster_id() is None:
        format_storage(folder, java, kafka, membership, cluster_id)
    command = broker_command(java, kafka, folder.properties.name, heap=manner.heap, flags=manner.flags(java))
    jvm = manner.spawn(command, folder=folder.root, output=folder.console, env=environment())
    return Running(
        process=jvm,
        host=socket.gethostname(),
        port=membership.address.port,
        bootstrap_servers=membership.bootstrap_servers,
        cluster_id=cluster_id,
        kafka=kafka.version,
        java=java.version,
    )


def await_service(folder: StateFolder, running: Running, membership: Membership) -> None:
    """Record a node that was spawned, and wait until it serves clients; if it does not come to that, end it.

    Raises
    ------
    BrokerFailed
        It does not.
    """
    try:
        folder.record_running(running)
        if not wait_until_ready(running.process, membership, running.cluster_id, _START_LIMIT):
            raise _failure(folder, running.process)
    except BaseException:  # Ctrl-C too: half a start leaves nothing behind
        end(running.process)
        folder.forget(running)
        raise


def end(jvm: ProcessIdentity) -> bool:
    """End the JVM, asked first, then with force; tell whether asking was enough."""
    jvm.signal(signal.SIGTERM)
    if jvm.wait_gone(_STOP_LIMIT):
        return True
    jvm.signal(signal.SIGKILL)
    jvm.wait_gone(_KILL_LIMIT)
    return False


def _failure(folder: StateFolder, jvm: ProcessIdentity) -> BrokerFailed:
    problem = (
        f"Kafka did not answer within {_START_LIMIT:.0f} s"
        if jvm.alive()
        else "Kafka ended while it was starting"
    )
    return BrokerFailed(problem, folder.log, folder.last_words())
