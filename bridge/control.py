"""Commands to a running simulation: the ``[steering]`` table, and the message as it stands in the control topic.

A command is JSON and is understood whole or not at all: unknown keys are refused, because half a command
might do something that nobody asked for.
"""

import getpass
import hmac
import platform
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from lockstream.bridge.errors import ConfigurationError, WireError
from lockstream.bridge.messages import SCHEMA_VERSION, Text, check_version, is_run_id
from lockstream.bridge.wire import Headers

CONTROL_TOPIC = "lockstream.control"
CONTROL_PARTITION = 0  # all commands are in one order, whatever the topic looks like
MAX_COMMAND_BYTES = 16 << 10

CommandName = Literal["pause", "resume", "checkpoint", "stop", "set", "every"]
Value = (
    Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]  # what JSON carries exactly everywhere
    | float
    | Annotated[str, msgspec.Meta(max_length=1000, pattern=r"^[^\x00]*$")]
    | bool
    | None
)
_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$")]
_Key = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.]{0,80}$")]
_Who = Annotated[Text, msgspec.Meta(max_length=200)]
_Time = Annotated[str, msgspec.Meta(max_length=40)]
_Token = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$")]
_AttemptOrAny = Annotated[int, msgspec.Meta(ge=-1, lt=2**31)]
_TOPIC_PATTERN = r"^[A-Za-z0-9._-]{1,249}$"


class SteeringSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[steering]`` table.

    Parameters
    ----------
    enabled
        Whether the simulation listens to commands.
    topic
        Where they are.
    secret
        If there is one, only commands that were signed with it are carried out.
    """

    enabled: bool = False
    topic: Annotated[str, msgspec.Meta(pattern=_TOPIC_PATTERN)] = CONTROL_TOPIC
    secret: str = ""

    def __post_init__(self) -> None:
        if self.topic in (".", ".."):
            raise ConfigurationError("steering.topic", self.topic, "is no name of a topic")


class Command(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="command"
):
    """What somebody asks a running simulation to do.

    Parameters
    ----------
    v
        Schema version.
    id
        Unique; the ``steered`` record that answers it has the same.
    run
        For which run.
    attempt
        Only for this attempt of it; -1 for whichever is going on.
    command
        What to do.
    key, value
        For ``set`` e.g. ``model.F`` and 0.03; for ``every`` only the value.
    who
        ``user@host``.
    sent, expires
        ISO 8601, UTC. After `expires` it is not carried out any more.
    token
        HMAC-SHA256 over the rest of the message, hexadecimal; empty if it is not signed.
    """

    v: str = SCHEMA_VERSION
    id: _Id
    run: str
    attempt: _AttemptOrAny = -1
    command: CommandName
    key: _Key = ""
    value: Value = None
    who: _Who
    sent: _Time
    expires: _Time
    token: _Token = ""

    def __post_init__(self) -> None:
        if not is_run_id(self.run):
            raise ValueError(f"run id {self.run[:80]!r} will not do")
        for text in (self.sent, self.expires):
            if datetime.fromisoformat(text).utcoffset() is None:
                raise ValueError(f"time {text!r} has no offset from UTC")

    def has_expired(self, now: datetime) -> bool:
        """Whether `now`, with a time zone, is later than `expires`."""
        return now > datetime.fromisoformat(self.expires)


_DECODER = msgspec.json.Decoder(Command)


def make_command(
    run: str,
    command: CommandName,
    *,
    key: str = "",
    value: Value = None,
    attempt: int = -1,
    lifetime: float = 60.0,
    secret: str = "",
) -> Command:
    """Make a command of this user's, sent now.

    Parameters
    ----------
    run, command, key, value, attempt
        As `Command` says.
    lifetime
        Seconds after which it is not carried out any more.
    secret
        What to sign it with; empty: not at all.

    Raises
    ------
    ConfigurationError
        If nobody would understand it.
    """
    now = datetime.now(UTC)
    made = Command(
        id=uuid.uuid4().hex,
        run=run,
        attempt=attempt,
        command=command,
        key=key,
        value=value,
        who=_who(),
        sent=now.isoformat(timespec="milliseconds"),
        expires=(now + timedelta(seconds=lifetime)).isoformat(timespec="milliseconds"),
    )
    signed = msgspec.structs.replace(made, token=_signature(made, secret)) if secret else made
    try:
        return decode_command(encode_command(signed)[1])
    except WireError as error:
        raise ConfigurationError(key or command, value, str(error)) from None


def is_signed(command: Command, secret: str) -> bool:
    """Whether a command was signed with `secret`, and not changed since."""
    return hmac.compare_digest(command.token, _signature(command, secret))


def encode_command(command: Command) -> tuple[Headers, bytes]:
    """Turn a command into Kafka headers, which are for people and filters, and a value, which says it all."""
    headers = [
        ("ls-v", command.v.encode()),
        ("ls-kind", b"command"),
        ("run", command.run.encode()),
    ]
    return headers, msgspec.json.encode(command)


def decode_command(value: bytes | None) -> Command:
    """Turn what Kafka delivered into a command.

    Raises
    ------
    WireError
        If it is none, of another major version, or too large.
    """
    if value is None:
        raise WireError("no value (a tombstone)")
    if len(value) > MAX_COMMAND_BYTES:
        raise WireError(f"command of {len(value)} bytes exceeds the limit of {MAX_COMMAND_BYTES}")
    try:
        command = _DECODER.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a command: {error}") from None
    check_version(command.v)
    return command


def _signature(command: Command, secret: str) -> str:
    said = msgspec.json.encode(msgspec.structs.replace(command, token=""))
    return hmac.new(secret.encode(), said, "sha256").hexdigest()


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{platform.node()}"[:200].replace("\x00", "")
