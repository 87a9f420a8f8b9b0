"""The errors of Lockstream.

::

    LockstreamError                     exit 1: the work failed
    ├── UserError                       exit 2: wrong argument, configuration or environment
    │   ├── ConfigurationError          a key, its value, what is wrong with it, and the cure
    │   ├── MissingExtra                an optional package that is not installed
    │   ├── BrokerUnreachable           nobody answers at bootstrap.servers
    │   ├── BrokerRefuses               somebody answers there, and does not let us in
    │   ├── SpoolLocked                 another process writes or drains this spool
    │   └── NotASpool                   no spool of a run at that path
    ├── WireError                       a message that breaks the wire format
    ├── DeliveryFailed                  steps are lost: neither Kafka nor the spool has them
    ├── LeftInSpool                     the run has ended, and Kafka has not taken all of it yet
    ├── StreamStopped                   exit 75: the bridge wants the simulation to stop in good order
    │   └── StreamRefused               exit 1: likewise, and waiting will not cure it
    ├── SpoolUnwritable                 the spool's file system fails; nothing of the item is left there
    │   └── SpoolFull                   the spool's bound is reached, or its disk is full
    ├── SpoolDamaged                    exit 3: a spool's file does not hold what was written to it
    └── StreamClosed                    the stream was used after its end

The other packages derive theirs from these, so that one handler serves the whole command line.
"""

from typing import ClassVar


class LockstreamError(Exception):
    """Base of every error that Lockstream raises on purpose; its text is meant for the user."""

    exit_code: ClassVar[int] = 1


class UserError(LockstreamError):
    """The user can cure it: the text names the value and the cure."""

    exit_code = 2


class ConfigurationError(UserError, ValueError):
    """A setting that cannot be used.

    Parameters
    ----------
    key
        Where the value stands, e.g. ``run.steps``.
    value
        The value as it was given.
    problem
        What is wrong with it and how to cure it.
    """

    def __init__(self, key: str, value: object, problem: str) -> None:
        shown = "(not shown)" if is_secret(key) else repr(value)
        super().__init__(f"{key} = {shown}: {problem}")
        self.key, self.value, self.problem = key, value, problem


def is_secret(key: str) -> bool:
    """Whether the value of a setting must not be shown: passwords, tokens, private keys, but not where they lie."""
    name = key.lower()
    if name.endswith((".file", ".command", ".location", ".url", ".type")):
        return False
    return any(word in name for word in ("password", "secret", "token", "ssl.key.pem", "ssl_key", "jaas"))


class MissingExtra(UserError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'lockstream[{extra}]'")


class BrokerUnreachable(UserError, ConnectionError):
    """No Kafka broker answered."""

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(
            f"kafka.bootstrap.servers = {servers!r}: no Kafka broker answers there ({reason}); "
            "start one with 'lockstream broker start', or name yours with LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS; "
            "if one is there, it may want another kafka.security.protocol"
        )


class WireError(LockstreamError, ValueError):
    """A message that breaks the wire format; it is quarantined, never guessed at."""


class DeliveryFailed(LockstreamError):
    """Steps are neither in Kafka's log nor in the spool."""


class BrokerRefuses(UserError, PermissionError):
    """A broker answers, and encryption or authentication fails."""

    def __init__(self, servers: str, reason: str, cure: str) -> None:
        super().__init__(
            f"kafka.bootstrap.servers = {servers!r}: the broker does not let us in: {reason}; {cure}"
        )


class SpoolLocked(UserError, BlockingIOError):
    """Another process holds the spool; the text names host and pid."""


class NotASpool(UserError, FileNotFoundError):
    """There is no spool of a run at that path."""


class SpoolUnwritable(LockstreamError, OSError):
    """The spool's file system does not take what it is given; the item is not in the spool, not even in part."""


class SpoolFull(SpoolUnwritable):
    """There is no room for an item; nothing of it was kept.

    Parameters
    ----------
    folder
        The spool.
    used, limit
        Bytes that its files take, and the most they may take.
    reason
        What the limit is in this case, or the system's word for a full disk.
    """

    def __init__(self, folder: object, used: int, limit: int, reason: str) -> None:
        super().__init__(f"{folder}: the spool is full, {used} of {limit} bytes are used ({reason})")
        self.used, self.limit = used, limit


class SpoolDamaged(LockstreamError):
    """A file of a spool is not what was written.

    Parameters
    ----------
    path, offset
        Where.
    what
        What is wrong there.
    """

    exit_code = 3

    def __init__(self, path: object, offset: int, what: str) -> None:
        super().__init__(
            f"{path}, byte {offset}: {what}. The spool is damaged; 'lockstream spool verify' says what is sound, "
            "and what lies in the other files can be delivered once this one is moved away"
        )
        self.path, self.offset, self.what = path, offset, what


class LeftInSpool(LockstreamError):
    """The run has ended; what Kafka did not take in time is in the spool, and nothing is lost."""


class StreamStopped(LockstreamError):
    """The bridge takes no further step and asks for an orderly stop; raised on all ranks alike.

    The step at hand was not accepted; everything before was.
    """

    exit_code = 75


class StreamRefused(StreamStopped):
    """Kafka will not take the run any more, e.g. for lack of a right: to start it again is no use.

    Raised like `StreamStopped`; somebody has to cure the cause first.
    """

    exit_code = 1


class StreamClosed(LockstreamError, RuntimeError):
    """`publish` after `close`."""
