"""Starting, stopping and looking at an embedded broker."""

import base64
import os
import re
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lockstream.bridge.errors import ConfigurationError
from lockstream.kafka.broker import class_archive, process
from lockstream.kafka.broker.artifacts import Progress, cache_folder
from lockstream.kafka.broker.distribution import Kafka, find_kafka
from lockstream.kafka.broker.errors import BrokerFailed
from lockstream.kafka.broker.java import Java, find_java
from lockstream.kafka.broker.jvm import broker_command, environment, format_command
from lockstream.kafka.broker.ports import LOOPBACK, choose_port, free_port
from lockstream.kafka.broker.process import ProcessIdentity
from lockstream.kafka.broker.properties import server_properties
from lockstream.kafka.broker.readiness import wait_until_ready
from lockstream.kafka.broker.state import Running, Settings, StateFolder

DEFAULT_HEAP = "512m"

_START_LIMIT = 60.0  # s; 1.5 to 3 are usual, but the machine may be busy
_STOP_LIMIT = 30.0  # s; under 1 is usual
_KILL_LIMIT = 10.0  # s
_ENDED_ON_REQUEST = (0, 128 + signal.SIGTERM)

_Spawn = Callable[..., ProcessIdentity]
_Flags = Callable[[Java], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerInfo:
    """A broker that runs."""

    directory: Path
    pid: int
    port: int
    cluster_id: str
    kafka_version: str
    java_version: str
    log: Path

    @property
    def bootstrap_servers(self) -> str:
        """What clients set as ``bootstrap.servers``."""
        return f"{LOOPBACK}:{self.port}"


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
    return _start(StateFolder(directory), port, heap, progress, process.spawn_detached)


@contextmanager
def embedded_broker(
    directory: Path | str | None = None,
    *,
    port: int | None = 0,
    heap: str = DEFAULT_HEAP,
    progress: Progress | None = None,
) -> Iterator[BrokerInfo]:
    """Have a broker inside a ``with`` block; its JVM ends with it, and with this process in any case.

    Parameters and errors are those of `start`, but for the port: by default any free one.
    Enter it in a thread that lives as long as the block, best the main one: the JVM ends with it.
    """
    folder = StateFolder(directory)
    info = _start(folder, port, heap, progress, process.spawn_tied)
    try:
        yield info
    finally:
        stop(folder.root)


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
    outcome = _end(running.process)
    if running.process.alive():
        raise BrokerFailed(f"the broker (pid {running.process.pid}) does not end", folder.log, [])
    folder.forget_running()
    return outcome


def status(directory: Path | str | None = None) -> BrokerStatus:
    """Look at a folder's broker, without changing anything.

    Raises
    ------
    BrokerElsewhere
        It was started on another machine.
    """
    folder = StateFolder(directory)
    running, cluster_id = folder.running(), folder.cluster_id()
    return BrokerStatus(
        directory=folder.root,
        info=_info(folder, running, cluster_id or "") if running else None,
        cluster_id=cluster_id,
        data_bytes=folder.data_bytes(),
        log=folder.log,
    )


def fetch(progress: Progress | None = None) -> Path:
    """Make ready what starts need, so that they need no network and take less time; return the cache folder.

    Raises
    ------
    FetchFailed, UntrustedJar, UserError
        The jars, or a Java, cannot be had.
    """
    java, _ = find_java(), find_kafka(progress)
    archive = class_archive.archive_path(java)
    if not (archive.exists() or os.environ.get("KAFKA_HOME")):
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=".classes-") as scratch:
            written = Path(scratch, archive.name)
            folder = StateFolder(Path(scratch, "broker"))
            _start(
                folder,
                0,
                DEFAULT_HEAP,
                None,
                process.spawn_tied,
                lambda java: class_archive.writing_flags(java, written),
            )
            stop(folder.root)
            if written.exists():  # not with every build of Java
                os.replace(written, archive)
    return cache_folder()


def _start(
    folder: StateFolder,
    port: int | None,
    heap: str,
    progress: Progress | None,
    spawn: _Spawn,
    flags: _Flags = class_archive.reading_flags,
) -> BrokerInfo:
    if not re.fullmatch(r"[1-9]\d*[kmgKMG]", heap):
        raise ConfigurationError("heap", heap, "write a number and its unit, e.g. 512m or 2g")
    folder.prepare()
    with folder.starting():
        settings = folder.settings()
        chosen = choose_port(port, settings.port if settings else None)
        java, kafka = find_java(), find_kafka(progress)
        folder.properties.write_text(server_properties(chosen, free_port(besides=chosen)), encoding="utf-8")
        cluster_id = folder.cluster_id() or _format(folder, java, kafka)
        command = broker_command(java, kafka, folder.properties.name, heap=heap, flags=flags(java))
        jvm = spawn(command, folder=folder.root, output=folder.console, env=environment())
        running = Running(
            process=jvm, host=socket.gethostname(), port=chosen, kafka=kafka.version, java=java.version
        )
        try:
            folder.record_running(running)
            if not wait_until_ready(jvm, chosen, cluster_id, _START_LIMIT):
                raise _failure(folder, jvm)
            folder.record_settings(Settings(port=chosen))
        except BaseException:  # Ctrl-C too: half a start leaves nothing behind
            _end(jvm)
            folder.forget_running()
            raise
    return _info(folder, running, cluster_id)


def _format(folder: StateFolder, java: Java, kafka: Kafka) -> str:
    """Make Kafka's storage and return the new cluster's id."""
    cluster_id = _new_cluster_id()
    command = format_command(java, kafka, folder.properties.name, cluster_id)
    try:
        subprocess.run(
            command,
            cwd=folder.root,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=_START_LIMIT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        words = [line for line in (error.stdout + error.stderr).splitlines() if not line.startswith("\tat ")]
        raise BrokerFailed("Kafka could not format its storage", folder.log, words[-10:]) from error
    except subprocess.TimeoutExpired as error:
        raise BrokerFailed(
            f"Kafka did not format its storage in {_START_LIMIT:.0f} s", folder.log, []
        ) from error
    return cluster_id


def _new_cluster_id() -> str:
    """Return a random id in Kafka's form: 16 bytes in base64 that do not look like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def _failure(folder: StateFolder, jvm: ProcessIdentity) -> BrokerFailed:
    problem = (
        f"Kafka did not answer within {_START_LIMIT:.0f} s"
        if jvm.alive()
        else "Kafka ended while it was starting"
    )
    return BrokerFailed(problem, folder.log, folder.last_words())


def _end(jvm: ProcessIdentity) -> StopOutcome:
    """End the JVM: asked first, then with force."""
    jvm.signal(signal.SIGTERM)
    if jvm.wait_gone(_STOP_LIMIT):
        return StopOutcome.STOPPED
    jvm.signal(signal.SIGKILL)
    jvm.wait_gone(_KILL_LIMIT)
    return StopOutcome.KILLED


def _info(folder: StateFolder, running: Running, cluster_id: str) -> BrokerInfo:
    return BrokerInfo(
        directory=folder.root,
        pid=running.process.pid,
        port=running.port,
        cluster_id=cluster_id,
        kafka_version=running.kafka,
        java_version=running.java,
        log=folder.log,
    )
