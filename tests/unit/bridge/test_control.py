"""Commands as bytes: what is understood, what is refused, and what cannot be forged."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstream.bridge.control import (
    MAX_COMMAND_BYTES,
    Command,
    SteeringSettings,
    decode_command,
    encode_command,
    is_signed,
    make_command,
)
from lockstream.bridge.errors import ConfigurationError, WireError
from lockstream.bridge.schemas import schemas
from lockstream.bridge.settings import convert

GOLDEN = Path(__file__).parents[2] / "golden" / "control" / "command.json"
COMMAND = Command(
    v="1.0",
    id="0123456789abcdef0123456789abcdef",
    run="tokamak-7",
    attempt=2,
    command="set",
    key="model.F",
    value=0.035,
    who="ada@node-1",
    sent="2026-01-01T00:00:00.000+00:00",
    expires="2026-01-01T00:00:10.000+00:00",
    token="e334fc6b6fb759c572e1f6b93ae9e63159cea1aa7ffa7afaa987a355fbda7f27",  # noqa: S106
)


def golden() -> tuple[list[tuple[str, bytes]], bytes]:
    document = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return [(key, text.encode()) for key, text in document["headers"].items()], document[
        "value_text"
    ].encode()


def bent(**changes: Any) -> bytes:
    return json.dumps(json.loads(golden()[1]) | changes).encode()


def test_the_golden_command_is_written_and_read_like_that() -> None:
    assert encode_command(COMMAND) == golden()
    assert decode_command(golden()[1]) == COMMAND
    assert is_signed(COMMAND, "Überlauf")
    jsonschema.validate(json.loads(golden()[1]), schemas()["command"])


@pytest.mark.parametrize("value", [1, -(2**53), 0.1, 1e-300, True, False, "text", None])
def test_values_come_back_as_they_were(value: Any) -> None:
    made = make_command("a", "set", key="model.F", value=value)
    again = decode_command(encode_command(made)[1])
    assert again == made
    assert type(again.value) is type(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "0123"},
        {"id": "../../../../etc/passwd0123456789ab"},
        {"run": "Not A Run"},
        {"run": None},
        {"command": "shutdown"},
        {"kind": "steered"},
        {"key": "model F"},
        {"key": "k" * 81},
        {"value": [1]},
        {"value": "x" * 1001},
        {"value": 2**53 + 1},
        {"who": "x" * 201},
        {"who": "nul\x00"},
        {"sent": "yesterday"},
        {"sent": "2026-01-01T00:00:00"},
        {"expires": ""},
        {"attempt": -2},
        {"attempt": 2**31},
        {"token": "secret"},
        {"v": "2.0"},
        {"v": "new"},
        {"and": "more"},
    ],
)
def test_what_is_not_wholly_understood_is_no_command(wrong: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        decode_command(bent(**wrong))


@pytest.mark.parametrize(
    "junk", [None, b"", b"\xff\xfe", b"null", b"[]", b"[" * 5000, b" " * (MAX_COMMAND_BYTES + 1)]
)
def test_junk_is_no_command(junk: bytes | None) -> None:
    with pytest.raises(WireError):
        decode_command(junk)


def test_a_signature_is_of_this_command_and_this_secret() -> None:
    made = make_command("a", "set", key="model.F", value=0.03, secret="hush")  # noqa: S106
    assert is_signed(made, "hush")
    assert not is_signed(made, "guess")
    assert not is_signed(msgspec.structs.replace(made, value=0.04), "hush")
    assert not is_signed(msgspec.structs.replace(made, expires=COMMAND.sent), "hush")
    assert not is_signed(msgspec.structs.replace(made, token=""), "hush")


def test_a_command_expires() -> None:
    made = make_command("a", "pause", lifetime=10)
    sent = datetime.fromisoformat(made.sent)
    assert abs(datetime.now(UTC) - sent) < timedelta(hours=1)
    assert not made.has_expired(sent + timedelta(seconds=10))
    assert made.has_expired(sent + timedelta(seconds=10.1))


def test_ids_are_unique() -> None:
    assert len({make_command("a", "pause").id for _ in range(100)}) == 100


def test_what_nobody_would_understand_is_not_even_made() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.F = 9007199254740993"):
        make_command("a", "set", key="model.F", value=2**53 + 1)


@pytest.mark.parametrize("topic", ["", "a b", "..", "x" * 250])
def test_a_topic_that_cannot_be_is_the_users_mistake(topic: str) -> None:
    with pytest.raises(ConfigurationError, match=r"steering\.topic"):
        convert({"topic": topic}, SteeringSettings, "steering")
    assert not convert({}, SteeringSettings, "steering").enabled


@given(
    st.sampled_from(sorted(json.loads(golden()[1]))),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=4,
    )
    | st.datetimes(timezones=st.timezones()).map(datetime.isoformat),
)
def test_whatever_stands_there_is_a_command_or_a_wire_error(key: str, value: Any) -> None:
    try:
        command = decode_command(bent(**{key: value}))
    except WireError:
        return
    command.has_expired(datetime.now(UTC))
    is_signed(command, "hush")
    assert decode_command(encode_command(command)[1]) == command
