"""Configuration: one TOML file, overridden by the environment, overridden by ``--set``.

`read_tables` layers the sources, `convert` checks them against a msgspec Struct and says which key is
wrong, what its value is and how to cure it.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from lockstream.bridge.errors import ConfigurationError
from lockstream.bridge.messages import MAX_TILE_BYTES

ENVIRONMENT_PREFIX = "LOCKSTREAM_"
LONGEST = 10**9  # seconds or hours: beyond what clocks and Kafka can count there is "for ever"
Tables = dict[str, dict[str, Any]]
KafkaOptions = Mapping[str, Any]
T = TypeVar("T")


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[stream]`` table.

    Parameters
    ----------
    every
        Publish every n-th step.
    fields
        Names of the fields to publish; empty means all.
    partitions
        Partitions of the run's topic; one gives a total order of the steps.
    tile_bytes
        Largest tile, at most 1 MiB.
    buffer_bytes
        Bytes sent but not yet acknowledged that the publisher may hold.
    policy
        What becomes of the next step when the buffer has been full for half of `max_stall`: ``spill`` (it is
        written to the spool and sent later, in order), ``drop`` (it is left out, and a gap says so) or ``stop``
        (the simulation is asked to stop in good order; what it had published goes to the spool).
    max_stall
        Seconds that `publish` may keep the simulation waiting, per step.
    spool
        Folder of the spool; left out, the node-local folder that Slurm or ``TMPDIR`` names, or one below
        ``~/.local/state``. Whatever the policy, what Kafka has not taken at the end goes there.
    spool_bytes
        Bound on the spool.
    require_broker
        Whether a broker must answer at the start; if not, the spool is begun without.
    metrics
        File that is kept up to date with counters in Prometheus' text format; empty: none.
    close_timeout
        Seconds that `close` waits for the last acknowledgements; then the rest is spooled.
    replication
        Replication factor of the topic; -1 leaves it to the broker.
    retention_hours
        How long Kafka keeps the run; -1 until somebody deletes the topic.
    codec
        ``none``, or ``deflate``: tiles are compressed where they are made, as HDF5 stores them.
    rounding
        Lossy, on request: mantissa bits to keep, by field, e.g. ``{v = 10}``; the relative error is then
        at most 2**-(bits + 1).
    """

    every: int = 1
    fields: tuple[str, ...] = ()
    partitions: int = 1
    tile_bytes: int = 1 << 19
    buffer_bytes: int = 256 << 20
    policy: Literal["spill", "drop", "stop"] = "spill"
    max_stall: float = 1.0
    spool: str = ""
    spool_bytes: int = 16 << 30
    require_broker: bool = True
    metrics: str = ""
    close_timeout: float = 60.0
    replication: int = -1
    retention_hours: float = -1
    codec: Literal["none", "deflate"] = "none"
    rounding: dict[str, int] = {}

    def __post_init__(self) -> None:
        for key in ("every", "partitions", "buffer_bytes", "spool_bytes"):
            if (value := getattr(self, key)) < 1:
                raise ConfigurationError(f"stream.{key}", value, "must be at least 1")
        if not 16 <= self.tile_bytes <= MAX_TILE_BYTES:
            raise ConfigurationError("stream.tile_bytes", self.tile_bytes, f"must be 16 to {MAX_TILE_BYTES}")
        for key in ("close_timeout", "max_stall"):
            if not 0 < (value := getattr(self, key)) <= LONGEST:
                raise ConfigurationError(
                    f"stream.{key}", value, f"must be more than 0 and at most {LONGEST} seconds"
                )
        if self.replication < 1 and self.replication != -1:
            raise ConfigurationError("stream.replication", self.replication, "must be at least 1, or -1")
        if not 0 < self.retention_hours <= LONGEST and self.retention_hours != -1:
            raise ConfigurationError(
                "stream.retention_hours",
                self.retention_hours,
                f"must be 0 to {LONGEST} hours, or -1 to keep the run until somebody deletes it",
            )

    def check_step(self, step_bytes: int, slots: int) -> None:
        """Refuse bounds that are too small for steps of that size.

        Raises
        ------
        ConfigurationError
            Naming the bound.
        """
        if step_bytes > self.buffer_bytes:
            problem = f"one step has {step_bytes}: make it larger"
            raise ConfigurationError("stream.buffer_bytes", self.buffer_bytes, problem)
        least = self.reserved_bytes(step_bytes, slots) + step_bytes
        if self.spool_bytes < least:
            problem = f"must have room for the buffer and some steps, {least} bytes: make it larger"
            raise ConfigurationError("stream.spool_bytes", self.spool_bytes, problem)

    def reserved_bytes(self, step_bytes: int, slots: int) -> int:
        """Part of the spool that is kept for what is on its way when the policy says stop."""
        return self.buffer_bytes + (slots + 1) * step_bytes


def read_tables(
    path: Path | None, environ: Mapping[str, str] = os.environ, overrides: Sequence[str] = ()
) -> Tables:
    """Layer the sources of a configuration; a later one wins key by key.

    Parameters
    ----------
    path
        A TOML file of tables, or None.
    environ
        ``LOCKSTREAM_RUN_STEPS=100`` sets ``run.steps``; in the ``kafka`` table underscores become dots:
        ``LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS``.
    overrides
        ``table.key=value`` each, the value in TOML's notation or plain text.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, or an override is not ``table.key=value``.
    """
    tables = _read_file(path) if path is not None else {}
    if "kafka" in tables:
        tables["kafka"] = dict(_dotted(tables["kafka"]))
    for name, text in environ.items():
        if name.startswith(ENVIRONMENT_PREFIX) and "_" in name[len(ENVIRONMENT_PREFIX) :]:
            table, key = name[len(ENVIRONMENT_PREFIX) :].lower().split("_", 1)
            key = key.replace("_", ".") if table == "kafka" else key
            tables.setdefault(table, {})[key] = _toml_value(text)
    for override in overrides:
        target, equals, text = override.partition("=")
        table, dot, key = target.strip().partition(".")
        if not (equals and dot and table and key):
            raise ConfigurationError("--set", override, "write table.key=value, e.g. run.steps=1000")
        tables.setdefault(table, {})[key] = _toml_value(text.strip())
    return tables


def convert(tables: Mapping[str, Any], struct: type[T], where: str = "") -> T:
    """Check `tables` against a msgspec Struct.

    Parameters
    ----------
    tables
        Plain dictionaries, lists and scalars.
    struct
        The Struct; give it ``forbid_unknown_fields=True`` to have unknown keys refused.
    where
        Key under which `tables` stands in the configuration, e.g. ``"model"``.

    Raises
    ------
    ConfigurationError
        Naming the key, its value and the cure; for an unknown key the nearest known one.
    """
    try:
        return msgspec.convert(tables, struct, strict=True)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, ConfigurationError):
            raise error.__cause__ from None
        raise _explain(str(error), tables, struct, where) from None


def unknown_key(key: str, value: object, known: Sequence[str]) -> ConfigurationError:
    """Build the error for a key that nobody knows, with the nearest known one."""
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1, cutoff=0.5)
    cure = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
    return ConfigurationError(key, value, f"unknown key; {cure}")


def _read_file(path: Path) -> Tables:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError("CONFIG", str(path), f"cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError("CONFIG", str(path), f"is not valid TOML: {error}") from None
    for key, table in content.items():
        if not isinstance(table, dict):
            raise ConfigurationError(key, table, "stands outside any table; put it under one, e.g. [run]")
    return content


def _dotted(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield librdkafka's own names: TOML reads an unquoted ``bootstrap.servers`` as a table in a table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(message: str, tables: Mapping[str, Any], struct: type, where: str) -> ConfigurationError:
    """Turn msgspec's «…, got `x` - at `$.run.steps`» into key, value and cure."""
    problem, _, path = message.partition(" - at `$")
    keys = re.findall(r"[^.\[\]`]+", path)
    if unknown := re.search(r"contains unknown field `(.*)`", problem):
        target = _descend_type(struct, keys)
        key = ".".join(filter(None, [where, *keys, unknown[1]]))
        known = [field.encode_name for field in msgspec.structs.fields(target)]
        return unknown_key(key, _descend(tables, [*keys, unknown[1]]), known)
    if missing := re.search(r"missing required field `(.*)`", problem):
        key = ".".join(filter(None, [where, *keys, missing[1]]))
        return ConfigurationError(key, None, "is required; add it to the configuration or with --set")
    return ConfigurationError(".".join(filter(None, [where, *keys])), _descend(tables, keys), problem)


def _descend(value: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list | tuple) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            break
    return value


def _descend_type(struct: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        struct = next(f.type for f in msgspec.structs.fields(struct) if f.encode_name == key)
    return struct
