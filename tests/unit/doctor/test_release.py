"""Which Kafka answers: from the bytes of an answer, which are not trusted."""

import struct

import pytest

from lockstream.cli.checks.finding import State
from lockstream.cli.checks.release import judge_release, parse_features


def answer(*features: tuple[str, int], error: int = 0, keys: int = 2) -> bytes:
    """An answer to ApiVersions, version 3; before the features stands a field that nobody knows."""
    listed = b"".join(
        bytes([len(name) + 1]) + name.encode() + struct.pack(">hh", 0, newest) + b"\0"
        for name, newest in features
    )
    field = bytes([len(features) + 1]) + listed
    numbers = b"".join(struct.pack(">hhh", key, 0, 9) + b"\0" for key in range(keys))
    head = struct.pack(">ih", 0, error) + bytes([keys + 1]) + numbers + struct.pack(">i", 0)
    return head + b"\x02" + b"\x07\x03abc" + b"\x00" + bytes([len(field)]) + field


def test_the_newest_level_of_each_feature_is_read() -> None:
    assert parse_features(answer(("group.version", 1), ("metadata.version", 33))) == {
        "group.version": 1,
        "metadata.version": 33,
    }


def test_every_cut_of_an_answer_is_noticed() -> None:
    whole = answer(("metadata.version", 33))
    for size in range(len(whole)):
        with pytest.raises((ValueError, struct.error)):
            parse_features(whole[:size])


@pytest.mark.parametrize("wrong", [answer(error=35), b"\0" * 6 + b"\xff" * 9, b"HTTP/1.1 400 Bad Request"])
def test_what_is_no_answer_is_an_error(wrong: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        parse_features(wrong)


@pytest.mark.parametrize(
    ("level", "state", "found"),
    [
        (33, State.OK, "Kafka 4.4 (metadata.version 33)"),
        (25, State.OK, "Kafka 4.0 (metadata.version 25)"),
        (31, State.OK, "a preview of Kafka 4.4, or older (metadata.version 31)"),
        (40, State.OK, "newer than Kafka 4.4 (metadata.version 40)"),
        (21, State.WARNING, "Kafka 3.9 (metadata.version 21)"),
        (None, State.WARNING, "it does not tell metadata.version"),
    ],
)
def test_the_release_behind_a_level(level: int | None, state: State, found: str) -> None:
    finding = judge_release("release", level)
    assert (finding.state, finding.found) == (state, found)
