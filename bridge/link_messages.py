"""What rank 0 and its publisher say to each other, over a socket that only the two of them have."""

from typing import Any

import msgspec

from lockstream.bridge.control import Command
from lockstream.bridge.messages import RunEnded, RunStarted, Steered
from lockstream.bridge.settings import StreamSettings


class _Word(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    pass


class Begin(_Word, frozen=True, kw_only=True):
    """The first word: everything the publisher must know. Secrets travel here, never on a command line.

    Parameters
    ----------
    started
        The attempt's first message.
    settings
        The ``[stream]`` table.
    options
        The ``[kafka]`` table.
    slots
        How many frames the shared memory has; its descriptor is inherited.
    processors
        Where the publisher should run; empty means anywhere.
    control_topic
        Where commands to the run come from; empty where nobody may steer it.
    """

    started: RunStarted
    settings: StreamSettings
    options: dict[str, Any]
    slots: int
    processors: tuple[int, ...] = ()
    control_topic: str = ""


class Submit(_Word, frozen=True, kw_only=True):
    """A step is in a slot: accepted."""

    slot: int
    step: int
    time: float
    diagnostics: dict[str, float | None]


class Say(_Word, frozen=True, kw_only=True):
    """A message for every partition, in its place between the steps."""

    message: Steered


class Sync(_Word, frozen=True, kw_only=True):
    """Is everything accepted so far acknowledged, or on the disk? After `timeout` seconds it is brought there."""

    timeout: float


class Close(_Word, frozen=True, kw_only=True):
    """The last word: say ``run-ended``, wait for Kafka up to `timeout` seconds, spool what is left."""

    ended: RunEnded
    timeout: float


class Ready(_Word, frozen=True, kw_only=True):
    """The run is open."""


class Refused(_Word, frozen=True, kw_only=True):
    """The run cannot be opened."""

    text: str
    is_users: bool


class Freed(_Word, frozen=True, kw_only=True):
    """A slot may be filled again."""

    slot: int


class StopWanted(_Word, frozen=True, kw_only=True):
    """The simulation should stop in good order: the policy says so, or, finally, Kafka will never take more."""

    reason: str
    is_final: bool = False


class Failed(_Word, frozen=True, kw_only=True):
    """The publisher itself cannot go on."""

    text: str


class Note(_Word, frozen=True, kw_only=True):
    """Something that people should know while it goes on."""

    text: str


class Commanded(_Word, frozen=True, kw_only=True):
    """Somebody wants to steer the run."""

    command: Command


class Synced(_Word, frozen=True, kw_only=True):
    """Answers `Sync`."""

    is_safe: bool
    text: str = ""


class Closed(_Word, frozen=True, kw_only=True):
    """Answers `Close`.

    Parameters
    ----------
    lost
        Steps that are neither acknowledged nor spooled; -1 for a message of another kind.
    spool
        The folder that holds what Kafka did not take, if it holds anything.
    items, nbytes
        What is in the spool: steps and other messages, bytes of the files.
    reason
        Why Kafka did not take it.
    """

    lost: tuple[int, ...] = ()
    spool: str = ""
    items: int = 0
    nbytes: int = 0
    reason: str = ""


ToPublisher = Begin | Submit | Say | Sync | Close
FromPublisher = Ready | Refused | Freed | StopWanted | Failed | Note | Commanded | Synced | Closed

to_publisher: msgspec.json.Decoder[ToPublisher] = msgspec.json.Decoder(ToPublisher)
from_publisher: msgspec.json.Decoder[FromPublisher] = msgspec.json.Decoder(FromPublisher)
encode = msgspec.json.encode
