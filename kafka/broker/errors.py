"""The errors of the embedded broker.

::

    LockstreamError
    ├── UserError                       exit 2
    │   ├── BrokerAlreadyRunning        a second start on the same folder
    │   ├── BrokerElsewhere             the folder is shared and its broker runs on another machine
    │   ├── NodesMissing                other nodes of the cluster did not come
    │   ├── PortTaken                   somebody else listens there
    │   ├── UnusableHost                no interface of this machine has that address
    │   ├── UnusableFolder              the state or the cache folder cannot be used
    │   └── UnusableKafkaHome           KAFKA_HOME is not a Kafka that can run here
    ├── FetchFailed                     a jar cannot be had
    ├── UntrustedJar                    a jar is not the one that was pinned
    └── BrokerFailed                    Kafka did not start, or ended by itself
"""

from pathlib import Path

from lockstream.bridge.errors import LockstreamError, UserError


class BrokerAlreadyRunning(UserError):
    """The folder's broker runs already, or is just being started."""

    def __init__(self, directory: Path, pid: int, doing: str = "running already") -> None:
        super().__init__(
            f"the broker of {directory} is {doing} (pid {pid}); "
            "stop it with 'lockstream broker stop', or give --dir another folder"
        )
        self.pid = pid


class BrokerElsewhere(UserError):
    """The folder's broker was started on another machine, from where its state cannot be told."""

    def __init__(self, record: Path, host: str, pid: int) -> None:
        super().__init__(
            f"the broker of {record.parent} was started on the host {host!r} (pid {pid}): use this command there, "
            f"or give --dir another folder; if that host is gone, delete {record}"
        )


class NodesMissing(UserError):
    """Not all nodes of a cluster have said where they are."""

    def __init__(self, meeting: Path, missing: list[int], seconds: float) -> None:
        nodes = f"node{'s' * (len(missing) > 1)} {' and '.join(map(str, missing))}"
        super().__init__(
            f"{nodes} did not come to {meeting} within {seconds:.0f} s: "
            "start all nodes of the cluster, each with the same --cluster and --of"
        )


class UnusableHost(UserError, OSError):
    """No interface of this machine has that address."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(
            f"cannot listen on {host!r} ({reason}): give --host the address by which others reach this machine"
        )


class PortTaken(UserError, OSError):
    """Another program listens on the broker's port."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        super().__init__(
            f"port {port} of {host} is taken by another program or may not be used; "
            "end that program, or choose a port with --port (0: any free one)"
        )


class UnusableFolder(UserError, OSError):
    """A folder that cannot be made, written or has no room."""

    def __init__(self, directory: Path, reason: str, cure: str) -> None:
        super().__init__(f"cannot use the folder {directory}: {reason}; {cure}")


class UnusableKafkaHome(UserError):
    """The environment names a Kafka that cannot be used."""

    def __init__(self, home: str, reason: str) -> None:
        super().__init__(
            f"KAFKA_HOME = {home!r}: {reason}; point it to an unpacked Kafka 4, or unset it to use the pinned one"
        )


class FetchFailed(LockstreamError, OSError):
    """A jar could not be downloaded."""

    def __init__(self, coordinates: str, reason: str, cache: Path) -> None:
        super().__init__(
            f"cannot get {coordinates} from Maven Central ({reason}); on a machine without internet, run "
            f"'lockstream broker fetch' on one that has it and copy its folder {cache}"
        )


class UntrustedJar(LockstreamError):
    """A jar's checksum is not the pinned one, so it is not run."""

    def __init__(self, path: Path, expected: str, got: str) -> None:
        super().__init__(
            f"{path} is not the jar that was pinned and will not be run: "
            f"SHA-256 expected {expected}, got {got}; delete it to have it fetched again"
        )


class BrokerFailed(LockstreamError):
    """Kafka did not come up, or ended without being asked to."""

    def __init__(self, problem: str, log: Path, last_words: list[str]) -> None:
        quoted = "".join(f"\n    {line}" for line in last_words)
        super().__init__(f"{problem}; its log is {log}{quoted}")
