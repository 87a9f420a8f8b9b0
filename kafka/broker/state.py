"""The folder of a broker: its data, its logs, the port it is known by, and which process serves it."""

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from lockstream.kafka.broker.errors import (
    BrokerAlreadyRunning,
    BrokerElsewhere,
    UnusableFolder,
)
from lockstream.kafka.broker.process import ProcessIdentity

_LEAST_ROOM = 256 * 2**20  # bytes; Kafka ends itself when the disk is full
_TAIL = 15  # lines of a log that fit an error message

Record = TypeVar("Record")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a folder keeps from start to start."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The process that serves a folder, and what it runs.

    Parameters
    ----------
    process, host
        Which one it is, on which machine.
    port
        Where it listens for clients.
    bootstrap_servers
        Where clients find it, and the other nodes of its cluster.
    """

    process: ProcessIdentity
    host: str
    port: int
    cluster_id: str
    kafka: str
    java: str
    bootstrap_servers: str


def default_folder() -> Path:
    """Return $XDG_STATE_HOME/lockstream/broker."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state"
    return root / "lockstream" / "broker"


class StateFolder:
    """One broker's folder; nothing is made in it before `prepare`.

    Parameters
    ----------
    directory
        Where it is; None for the default one.
    """

    def __init__(self, directory: Path | str | None = None) -> None:
        self.root = Path(directory).expanduser().absolute() if directory else default_folder()
        self.data = self.root / "data"
        self.log = self.root / "logs" / "server.log"
        self.console = self.root / "logs" / "console.log"
        self.properties = self.root / "server.properties"
        self._settings = self.root / "broker.json"
        self._running = self.root / "running.json"

    def prepare(self) -> None:
        """Make the folder and check that a broker can write to it.

        Raises
        ------
        UnusableFolder
            It cannot be made or written, or the disk is full.
        """
        cure = "give --dir a folder that you may write"
        try:
            for folder in (self.root, self.data, self.log.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UnusableFolder(self.root, str(error.strerror), cure) from error
        # Somebody else, root for instance, may have run a broker here before.
        for folder in (self.root, self.data, self.log.parent):
            for path in (folder, *folder.iterdir()):
                if not os.access(path, os.W_OK):
                    raise UnusableFolder(self.root, f"{path} is not writable", cure)
        room = shutil.disk_usage(self.data).free
        if room < _LEAST_ROOM:
            problem = f"only {room / 2**20:.0f} MiB are free there and {_LEAST_ROOM // 2**20} are needed"
            raise UnusableFolder(self.root, problem, "make room, or give --dir a folder on another disk")

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Hold off other starts on this folder, and refuse to start where a broker runs.

        Raises
        ------
        BrokerAlreadyRunning
            The folder's broker runs, or is just being started.
        """
        with (self.root / "start.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise BrokerAlreadyRunning(self.root, int(lock.read() or 0), "just being started") from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            running = self.running()
            if running:
                raise BrokerAlreadyRunning(self.root, running.process.pid)
            yield

    def running(self) -> Running | None:
        """Return what runs here; a record of a process that has ended, or whose pid is another's now, is stale.

        Raises
        ------
        BrokerElsewhere
            The folder is shared with another machine, and the broker was started there.
        """
        record = _read(self._running, Running)
        if record is None:
            return None
        if record.host != socket.gethostname():
            raise BrokerElsewhere(self._running, record.host, record.process.pid)
        return record if record.process.alive() else None

    def record_running(self, running: Running) -> None:
        """Remember the process that serves this folder."""
        _write(self._running, running)

    def forget(self, running: Running) -> None:
        """Drop the record of a process that has ended, unless a later start has replaced it."""
        if _read(self._running, Running) == running:
            self._running.unlink(missing_ok=True)

    def settings(self) -> Settings | None:
        """Return what the last start left, or None before the first."""
        return _read(self._settings, Settings)

    def record_settings(self, settings: Settings) -> None:
        """Remember settings for the next start."""
        _write(self._settings, settings)

    def cluster_id(self) -> str | None:
        """Return the id that Kafka's storage was formatted with, or None before that."""
        try:
            text = (self.data / "meta.properties").read_text(encoding="latin-1")
        except FileNotFoundError:
            return None
        pairs = (line.partition("=") for line in text.splitlines())
        return next((value.strip() for key, _, value in pairs if key.strip() == "cluster.id"), None)

    def data_bytes(self) -> int:
        """Return the space that the data takes on disk; Kafka's index files are mostly holes."""
        total = 0
        for folder, _, files in os.walk(self.data):
            for name in files:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512
                except FileNotFoundError:  # Kafka has just deleted it
                    continue
        return total

    def last_words(self) -> list[str]:
        """Return the end of what the JVM printed since it was started, without stack traces."""
        try:
            lines = self.console.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if line.strip() and not line.startswith("\tat ")][-_TAIL:]


def _read(path: Path, kind: type[Record]) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise UnusableFolder(path.parent, f"{path.name} is damaged ({error})", f"delete {path}") from error
    except OSError as error:
        raise UnusableFolder(path.parent, str(error.strerror), "give --dir a folder of your own") from error


def _write(path: Path, record: Settings | Running) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_bytes(msgspec.json.encode(record))
    os.replace(scratch, path)
