"""Which release of Kafka a broker is of: librdkafka asks for what tells it, and does not pass it on.

A broker answers ApiVersions before anybody has to say who they are, with the levels of features that it supports; the
level of ``metadata.version`` grows with every release. https://kafka.apache.org/protocol#The_Messages_ApiVersions
"""

import socket
import struct
from io import BytesIO
from typing import BinaryIO

from lockstream.bridge.settings import KafkaOptions
from lockstream.cli.checks.finding import Finding, ok, unknown, warning

PLACE = "kafka"
ASK_SECONDS = 5.0
# The newest level of each release, as `kafka-storage.sh version-mapping --release-version …` of Kafka 4.4 says.
LEVELS = {19: "3.7", 20: "3.8", 21: "3.9", 25: "4.0", 27: "4.1", 29: "4.2", 30: "4.3", 33: "4.4"}
OLDEST_TESTED = 25

_API_VERSIONS, _VERSION = 18, 3
_SUPPORTED_FEATURES = 0  # tag of the field
_LARGEST = 2**20  # bytes of an answer that are read
_CLIENT = b"lockstream"


def check_release(host: str, port: int, options: KafkaOptions) -> Finding:
    """Ask one broker; a connection with TLS is left to librdkafka, which alone has the certificates and keys."""
    what = f"release of {host}:{port}"
    if "SSL" in str(options.get("security.protocol", "")).upper():
        return unknown(PLACE, what, "not asked over TLS", "ask the cluster's owner")
    try:
        features = _supported_features(host, port)
    except (OSError, ValueError, struct.error) as error:
        return unknown(PLACE, what, f"no answer that is understood ({error})", "ask the cluster's owner")
    return judge_release(what, features.get("metadata.version"))


def judge_release(what: str, level: int | None) -> Finding:
    """Say which release it is, from the newest ``metadata.version`` that a broker supports; None: it names none."""
    if level is None:
        cure = "Lockstream is tested with Kafka 4; a compatible product may do as well: lockstream doctor --probe"
        return warning(PLACE, what, "it does not tell metadata.version", cure)
    if level > max(LEVELS):
        return ok(PLACE, what, f"newer than Kafka {LEVELS[max(LEVELS)]} (metadata.version {level})")
    release = next((LEVELS[newest] for newest in sorted(LEVELS) if level <= newest), "")
    found = f"Kafka {release}" if level in LEVELS else f"a preview of Kafka {release}, or older"
    if level < OLDEST_TESTED:
        return warning(
            PLACE, what, f"{found} (metadata.version {level})", "Lockstream is tested with Kafka 4"
        )
    return ok(PLACE, what, f"{found} (metadata.version {level})")


def _supported_features(host: str, port: int) -> dict[str, int]:
    header = struct.pack(">hhih", _API_VERSIONS, _VERSION, 0, len(_CLIENT)) + _CLIENT + b"\0"
    name = bytes([len(_CLIENT) + 1]) + _CLIENT
    request = header + name + b"\x02" + b"1" + b"\0"  # our name and version, and no tagged fields
    with socket.create_connection((host, port), timeout=ASK_SECONDS) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answers:
            (size,) = _read(answers, ">i")
            if not 0 < size <= _LARGEST:
                raise ValueError(f"an answer of {size} bytes")
            return parse_features(answers.read(size))


def parse_features(answer: bytes) -> dict[str, int]:
    """Return the newest level of each feature in an answer to ApiVersions, version 3.

    Raises
    ------
    ValueError, struct.error
        It is none.
    """
    stream = BytesIO(answer)
    _, error = _read(stream, ">ih")
    if error:
        raise ValueError(f"error {error}")
    for _ in range(_count(stream)):  # keys of requests and their versions
        _read(stream, ">hhh")
        _skip_tags(stream)
    _read(stream, ">i")  # throttle time
    for _ in range(_varint(stream)):
        tag, size = _varint(stream), _varint(stream)
        field = BytesIO(_exactly(stream, size))
        if tag == _SUPPORTED_FEATURES:
            return dict(_feature(field) for _ in range(_count(field)))
    return {}


def _feature(stream: BinaryIO) -> tuple[str, int]:
    name = _exactly(stream, _count(stream)).decode("ascii")
    _, newest = _read(stream, ">hh")
    _skip_tags(stream)
    return name, newest


def _skip_tags(stream: BinaryIO) -> None:
    for _ in range(_varint(stream)):
        _varint(stream)
        _exactly(stream, _varint(stream))


def _count(stream: BinaryIO) -> int:
    """Return the length of what is "compact": one less than is written; 0 stands for nothing."""
    return max(_varint(stream) - 1, 0)


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 35, 7):
        (byte,) = _exactly(stream, 1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError("a number that does not end")


def _read(stream: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, _exactly(stream, struct.calcsize(form)))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    found = stream.read(size)
    if len(found) != size:
        raise ValueError("it ends too early")
    return found
