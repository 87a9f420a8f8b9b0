"""Bringing up the JVM that serves a broker's folder, and ending it."""

import re
import signal
import socket
from collections.abc import Callable, Mapping

from lockstream.bridge.errors import ConfigurationError
from lockstream.kafka.broker.artifacts import Progress
from lockstream.kafka.broker.class_archive import reading_flags
from lockstream.kafka.broker.distribution import find_kafka
from lockstream.kafka.broker.errors import BrokerFailed
from lockstream.kafka.broker.java import Java, find_java
from lockstream.kafka.broker.jvm import broker_command, environment
from lockstream.kafka.broker.ports import choose_port, free_port
from lockstream.kafka.broker.process import ProcessIdentity
from lockstream.kafka.broker.properties import NOTHING, Detour, server_properties
from lockstream.kafka.broker.readiness import wait_until_ready
from lockstream.kafka.broker.state import Running, Settings, StateFolder
from lockstream.kafka.broker.storage import format_storage

Spawn = Callable[..., ProcessIdentity]
Flags = Callable[[Java], list[str]]

_START_LIMIT = 60.0  # s; 1.5 to 3 are usual, but the machine may be busy
_STOP_LIMIT = 30.0  # s; under 1 is usual
_KILL_LIMIT = 10.0  # s


def launch(
    folder: StateFolder,
    port: int | None,
    heap: str,
    progress: Progress | None,
    spawn: Spawn,
    flags: Flags = reading_flags,
    detour: Detour | None = None,
    more: Mapping[str, str] = NOTHING,
) -> Running:
    """Start a JVM that serves the folder, wait until it does, and record it.

    Parameters
    ----------
    folder, port, heap, progress, detour, more
        As `lifecycle.start` explains them.
    spawn
        How: `process.spawn_detached` or `process.spawn_tied`.
    flags
        Gives further flags of the JVM, once it is known which Java is used.
    """
    if not re.fullmatch(r"[1-9]\d*[kmgKMG]", heap):
        raise ConfigurationError("heap", heap, "write a number and its unit, e.g. 512m or 2g")
    folder.prepare()
    with folder.starting():
        settings = folder.settings()
        chosen = choose_port(port, settings.port if settings else None)
        java, kafka = find_java(), find_kafka(progress)
        settled = server_properties(chosen, free_port(besides=chosen), detour, more)
        folder.properties.write_text(settled, encoding="utf-8")
        cluster_id = folder.cluster_id() or format_storage(folder, java, kafka)
        command = broker_command(java, kafka, folder.properties.name, heap=heap, flags=flags(java))
        jvm = spawn(command, folder=folder.root, output=folder.console, env=environment())
        running = Running(
            process=jvm,
            host=socket.gethostname(),
            port=chosen,
            cluster_id=cluster_id,
            kafka=kafka.version,
            java=java.version,
        )
        try:
            folder.record_running(running)
            if not wait_until_ready(jvm, chosen, cluster_id, _START_LIMIT):
                raise _failure(folder, jvm)
            folder.record_settings(Settings(port=chosen))
        except BaseException:  # Ctrl-C too: half a start leaves nothing behind
            end(jvm)
            folder.forget(running)
            raise
    return running


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
