"""The errors of Lockstream.

::

    LockstreamError                     exit 1: the work failed
    ├── UserError                       exit 2: wrong argument, configuration or environment
    │   ├── ConfigurationError          a key, its value, what is wrong with it, and the cure
    │   ├── MissingExtra                an optional package that is not installed
    │   └── BrokerUnreachable           nobody answers at bootstrap.servers
    ├── WireError                       a message that breaks the wire format
    ├── SpoolFull                       the spool has reached its bound, or the disk its end
    ├── SpoolUnwritable                 the spool cannot be written
    ├── DeliveryFailed                  steps are lost: neither Kafka nor the spool has them
    ├── LeftInSpool                     the run has ended, and Kafka has not taken all of it yet
    ├── StreamStopped                   exit 75: the bridge wants the simulation to stop in good order
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
        super().__init__(f"{key} = {value!r}: {problem}")
        self.key, self.value, self.problem = key, value, problem


class MissingExtra(UserError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: pip install 'lockstream[{extra}]'")


class BrokerUnreachable(UserError, ConnectionError):
    """No Kafka broker answered."""

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(
            f"kafka.bootstrap.servers = {servers!r}: no Kafka broker answers there ({reason}); "
            "start one with 'lockstream broker start', or name yours with LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS"
        )


class WireError(LockstreamError, ValueError):
    """A message that breaks the wire format; it is quarantined, never guessed at."""


class SpoolFull(LockstreamError):
    """The spool has no room for another step; nothing of it was written."""


class SpoolUnwritable(LockstreamError):
    """The disk does not take what should be spooled; nothing of it counts as written."""


class DeliveryFailed(LockstreamError):
    """Steps are neither in Kafka's log nor in the spool."""


class LeftInSpool(LockstreamError):
    """The run has ended; what Kafka did not take in time is in the spool, and nothing is lost."""


class StreamStopped(LockstreamError):
    """The bridge takes no further step and asks for an orderly stop; raised on all ranks alike.

    The step at hand was not accepted; everything before was.
    """

    exit_code = 75


class StreamClosed(LockstreamError, RuntimeError):
    """`publish` after `close`."""
