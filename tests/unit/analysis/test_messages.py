"""Results are read back from a topic that anybody may write to: understood exactly, or refused."""

import json

import pytest

from lockstream.bridge.errors import WireError
from lockstream.kafka.analysis.messages import MAX_RESULT_BYTES, decode_result, encode_result
from lockstream.kafka.analysis.spectrum import MAX_SHELLS


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"power": None, "pattern_scale": None},
        {"wavenumbers": (), "modes": (), "power": ()},
        {"power": (5e-324, 1.7976931348623157e308), "time": -1e-300},
    ],
)
def test_a_result_comes_back_as_it_was(make_result, changes):
    result = make_result(**changes)
    headers, value = encode_result(result)
    assert decode_result(value) == result
    assert dict(headers) == {
        "ls-v": b"1.1", "ls-kind": b"spectrum", "run": b"r", "attempt": b"0", "step": b"3",
    }  # fmt: skip


def test_the_largest_result_can_be_read_again(make_result):
    longest = tuple(1.2345678901234567e-300 * (1 + n / 7) for n in range(MAX_SHELLS))
    result = make_result(wavenumbers=longest, modes=(10**7 + 1,) * MAX_SHELLS, power=longest[::-1])
    assert decode_result(encode_result(result)[1]) == result


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", "2.0"),
        ("v", "one"),
        ("kind", "manifest"),
        ("run", "../../etc"),
        ("run", "R"),
        ("attempt", -1),
        ("attempt", 2**31),
        ("step", -1),
        ("step", 10**18),
        ("step", 1.5),
        ("after_step", -2),
        ("time", None),
        ("field", "u" * 201),
        ("field_units", "K\x00"),
        ("worker", "w" * 201),
        ("wavenumbers", [1.0]),
        ("wavenumbers", [2.5, 1.0]),
        ("wavenumbers", [1.0, 1.0]),
        ("wavenumbers", [0.0, 1.0]),
        ("wavenumbers", [-1.0, 1.0]),
        ("modes", [4]),
        ("modes", [0, 8]),
        ("modes", [4, 2**63]),
        ("power", [0.25]),
        ("power", [0.25, -1.0]),
        ("power", [0.25, None]),
        ("pattern_scale", 0.0),
        ("pattern_scale", -1.0),
    ],
)
def test_a_result_that_cannot_be_is_refused(make_result, key, value):
    said = json.loads(encode_result(make_result())[1])
    with pytest.raises(WireError):
        decode_result(json.dumps(said | {key: value}).encode())


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"kind": "spectrum"}',
        b" " * (MAX_RESULT_BYTES + 1),
        b'{"kind":"spectrum","run":"r","time":1e999}',
    ],
)
def test_what_is_not_a_result_is_refused(value):
    with pytest.raises(WireError):
        decode_result(value)


def test_too_many_shells_are_refused(make_result):
    many = tuple(float(n + 1) for n in range(MAX_SHELLS + 1))
    with pytest.raises(ValueError, match="at most"):
        make_result(wavenumbers=many, modes=(1,) * len(many), power=None)


@pytest.mark.parametrize("changes", [{"time": float("nan")}, {"power": (0.0, float("inf"))}])
def test_what_json_cannot_say_is_refused_when_it_is_made(make_result, changes):
    with pytest.raises(ValueError, match="finite"):
        make_result(**changes)
