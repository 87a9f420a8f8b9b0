"""What arrives is never believed: whatever it is, it is understood exactly or refused with WireError."""

import gzip
import json
import tracemalloc
import zlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.golden import MESSAGES
from support.runs import TWO_FIELDS, FakeRun, Record, record

from lockstream.bridge.errors import WireError
from lockstream.bridge.messages import DTYPES, MAX_TILE_BYTES, Field, Gap, RunStarted, Tile
from lockstream.bridge.wire import crc32c, decode, elements, encode, verify_tile

RUN = FakeRun(fields=TWO_FIELDS)
TILE: Record = record(RUN.tiles(3)[0])
MANIFEST: Record = record(RUN.manifest(3))
STARTED: Record = record(RUN.started)
GAP: Record = record(Gap(run="fake", step=4, reason="buffer full"))
ENDED: Record = record(RUN.ended([3]))
ALL = {"tile": TILE, "manifest": MANIFEST, "run-started": STARTED, "gap": GAP, "run-ended": ENDED}


def changed(message: Record, **headers: bytes | str | None) -> Record:
    """The same message with other headers; None leaves one out. Underscores stand for dashes."""
    new = {key.replace("_", "-"): value for key, value in headers.items()}
    kept = [(key, value) for key, value in message[0] if key not in new]
    added = [(k, v if isinstance(v, bytes) else v.encode()) for k, v in new.items() if v is not None]
    return kept + added, message[1]


def with_value(message: Record, **values: Any) -> Record:
    return message[0], json.dumps(json.loads(message[1]) | values).encode()


HOSTILE: dict[str, Record | tuple[Any, Any]] = {
    "a tombstone": (TILE[0], None),
    "no headers": (None, TILE[1]),
    "no headers at all": ([], b"{}"),
    "an empty value": (TILE[0], b""),
    **{f"a tile without {key}": changed(TILE, **{key: None}) for key, _ in TILE[0]},
    **{f"a tile with {key} twice": (TILE[0] + [(key, value)], TILE[1]) for key, value in TILE[0]},
    **{f"a tile with an empty {key}": changed(TILE, **{key: b""}) for key, _ in TILE[0] if key != "field"},
    **{f"a tile with {key} too long": changed(TILE, **{key: b"1" * 201}) for key, _ in TILE[0]},
    **{f"a tile with {key} not UTF-8": changed(TILE, **{key: b"\xff\xfe"}) for key, _ in TILE[0]},
    **{
        f"a manifest without {key}": changed(MANIFEST, **{key: None})
        for key in ("ls-v", "ls-kind", "run", "attempt")
    },
    "a header without a value": ([*TILE[0][:-1], ("crc32c", None)], TILE[1]),
    "another major version": changed(TILE, ls_v="2.0"),
    "another major version in the value": with_value(MANIFEST, v="2.0"),
    "a version that is none": changed(MANIFEST, ls_v="one"),
    "a version of Arabic digits": changed(TILE, ls_v="١.٠"),
    "an unknown kind": changed(TILE, ls_kind="tiles"),
    "a manifest that claims to be a gap": changed(MANIFEST, ls_kind="gap"),
    "a tile that claims to be a manifest": changed(TILE, ls_kind="manifest"),
    "a manifest that claims to be a tile": changed(MANIFEST, ls_kind="tile"),
    "a negative step": changed(TILE, step="-1"),
    "a signed step": changed(TILE, step="+1"),
    "a step with a blank": changed(TILE, step=" 1"),
    "a step with an underscore": changed(TILE, step="1_000"),
    "a step of Arabic digits": changed(TILE, step="٣"),
    "a superscript step": changed(TILE, step="³"),
    "a step that is a fraction": changed(TILE, step="1.0"),
    "a huge step": changed(TILE, step="9" * 19),
    "a huge attempt": changed(TILE, attempt="9" * 150),
    "an unknown dtype": changed(TILE, dtype="O"),
    "a dtype by another name": changed(TILE, dtype="<f4"),
    "an unknown codec": changed(TILE, codec="pickle"),
    "a path as run": changed(TILE, run="../../etc"),
    "a run in capitals": changed(TILE, run="FAKE"),
    "a run with a line break": changed(TILE, run="fake\n"),
    "a fifth dimension": changed(TILE, shape="1,1,1,1,1", offset="0,0,0,0,0", extent="1,1,1,1,1"),
    "no dimension": changed(TILE, shape="", offset="", extent=""),
    "dimensions that do not agree": changed(TILE, offset="0"),
    "a negative offset": changed(TILE, offset="-1,0"),
    "an offset outside": changed(TILE, offset="6,0"),
    "an extent that reaches out": changed(TILE, offset="5,0"),
    "an empty extent": changed(TILE, extent="0,5", raw_size="0"),
    "an extent of another size": changed(TILE, extent="1,5"),
    "sizes whose product overflows 64 bits": changed(
        TILE, shape="4294967296,4294967296", offset="0,0", extent="4294967296,4294967296", raw_size="0"
    ),
    "sizes whose product wraps to the right one": changed(
        TILE, shape=f"{2**62},5", offset="0,0", extent=f"{2**62},5", raw_size=str(len(TILE[1]))
    ),
    "a raw size of exabytes": changed(TILE, shape="9" * 18, offset="0", extent="9" * 18, raw_size="9" * 18),
    "a raw size that the value does not have": (TILE[0], TILE[1] + b"\0\0\0\0"),
    "a truncated value": (TILE[0], TILE[1][:-1]),
    "a tile above the limit": (
        changed(TILE, dtype="u1", shape="2097152", offset="0", extent="2097152", raw_size="2097152")[0],
        bytes(2 * MAX_TILE_BYTES),
    ),
    "a checksum that is none": changed(TILE, crc32c="not hex!"),
    "a checksum with NUL": changed(TILE, crc32c="\0" * 8),
    "a checksum in capitals": changed(TILE, crc32c="ABCDEF01"),
    "foreign JSON": (MANIFEST[0], b'{"hello": "world"}'),
    "a JSON list": (MANIFEST[0], b"[]"),
    "JSON null": (MANIFEST[0], b"null"),
    "half of the JSON": (MANIFEST[0], MANIFEST[1][: len(MANIFEST[1]) // 2]),
    "JSON and more": (MANIFEST[0], MANIFEST[1] + b"{}"),
    "JSON in UTF-16": (GAP[0], GAP[1].decode().encode("utf-16")),
    "JSON that is not UTF-8": (GAP[0], GAP[1].replace(b"buffer", b"\xff\xfe\xfd")),
    "half a surrogate pair": (GAP[0], GAP[1].replace(b"buffer", b"\\ud800")),
    "a deep list": (GAP[0], b"[" * 500_000),
    "a deep value": (GAP[0], GAP[1].replace(b'"buffer full"', b"[" * 100_000 + b"]" * 100_000)),
    "a deep configuration": (
        STARTED[0],
        STARTED[1].replace(
            b'"configuration":{}', b'"configuration":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        ),
    ),
    "JSON above the limit": (GAP[0], GAP[1].replace(b"buffer", b"b" * (1 << 20))),
    "another run in the value": with_value(MANIFEST, run="other"),
    "another attempt in the value": with_value(MANIFEST, attempt=1),
    "another step in the value": with_value(MANIFEST, step=4),
    "a step header where there is none": changed(ENDED, step="4"),
    "a run that is none in the value": changed(with_value(MANIFEST, run="../x"), run="../x"),
    "a negative attempt": with_value(MANIFEST, attempt=-1),
    "a negative step in the value": changed(with_value(GAP, step=-1), step=None),
    "a step that is text": with_value(MANIFEST, step="3"),
    "a step that is a float": with_value(MANIFEST, step=3.5),
    "a step beyond 64 bits": changed(with_value(GAP, step=2**63), step=None),
    "a step of a thousand digits": changed(
        (GAP[0], GAP[1].replace(b'"step":4', b'"step":' + b"9" * 1000)), step=None
    ),
    "an attempt beyond 32 bits": changed(with_value(STARTED, attempt=2**31), attempt=str(2**31)),
    "a time that is null": with_value(MANIFEST, time=None),
    "a time beyond all numbers": (MANIFEST[0], MANIFEST[1].replace(b'"time":1.0', b'"time":1e999')),
    "a diagnostic that is a list": with_value(MANIFEST, diagnostics={"mass": [1]}),
    "a diagnostic with a path as name": with_value(MANIFEST, diagnostics={"a/b": 1.0}),
    "a diagnostic named step": with_value(MANIFEST, diagnostics={"step": 1.0}),
    "a gap with NUL": with_value(GAP, reason="a\0b"),
    "an unknown status": with_value(ENDED, status="fine"),
    "no fields": with_value(STARTED, fields=[], tiles={}),
    "a field twice": with_value(STARTED, fields=json.loads(STARTED[1])["fields"][:1] * 2),
    "a field named by a path": with_value(
        STARTED, fields=[{"name": "/etc", "shape": [6]}], tiles={"/etc": [6]}
    ),
    "a field named lockstream": with_value(
        STARTED, fields=[{"name": "lockstream", "shape": [6]}], tiles={"lockstream": [6]}
    ),
    "a field named like an axis": with_value(STARTED, fields=[{"name": "x", "shape": [6]}], tiles={"x": [6]}),
    "no tile shape": with_value(STARTED, tiles={}),
    "a tile shape of nothing": with_value(STARTED, tiles={"u": [0, 5], "n": [7]}),
    "a tile larger than its field": with_value(STARTED, tiles={"u": [7, 5], "n": [7]}),
    "tiles above the limit": with_value(
        STARTED, fields=[{"name": "u", "shape": [1 << 30]}], tiles={"u": [1 << 30]}
    ),
    "more tiles than a manifest can list": with_value(
        STARTED, fields=[{"name": "u", "shape": [10**15]}], tiles={"u": [1]}
    ),
    "an unknown dtype of a field": with_value(
        STARTED, fields=[{"name": "u", "shape": [6], "dtype": "O"}], tiles={"u": [6]}
    ),
    "no partition": with_value(STARTED, partitions=0),
    "an environment with NUL": with_value(STARTED, environment={"host": "a\0"}),
    "an environment with a path as name": with_value(STARTED, environment={"a/b": "c"}),
    "a shape beyond all numbers": with_value(
        STARTED, fields=[{"name": "u", "shape": [10**400]}], tiles={"u": [1]}
    ),
    "an axis that leaves the numbers": with_value(
        STARTED,
        fields=[{"name": "u", "shape": [6], "axes": [{"name": "a", "spacing": 1e308}]}],
        tiles={"u": [6]},
    ),
    "a spacing of 0": with_value(
        STARTED,
        fields=[{"name": "u", "shape": [6], "axes": [{"name": "a", "spacing": 0.0}]}],
        tiles={"u": [6]},
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_message_is_refused_without_taking_memory(name: str) -> None:
    headers, value = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(WireError) as refused:
            decode(headers, value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 10 < len(str(refused.value)) < 700
    assert peak < 16 << 20


@pytest.mark.parametrize("kind", ALL)
def test_encode_and_decode_are_inverse(kind: str) -> None:
    message = decode(*ALL[kind])
    assert record(message) == ALL[kind]


@pytest.mark.parametrize("kind", ALL)
def test_unknown_headers_are_ignored(kind: str) -> None:
    headers, value = ALL[kind]
    foreign = [("traceparent", b"00-abc"), ("binary", b"\xff\xfe"), ("none", None), ("long", b"x" * 5000)]
    assert decode([*foreign, *headers], value) == decode(headers, value)


def test_unknown_keys_and_a_later_minor_version_are_read() -> None:
    later = with_value(changed(MANIFEST, ls_v="1.7"), v="1.7", colour="blue")
    assert decode(*later) == msgspec.structs.replace(RUN.manifest(3), v="1.7")


def test_a_flipped_bit_shows_in_the_checksum_only() -> None:
    headers, value = TILE
    broken = decode(headers, bytes([value[0] ^ 1]) + value[1:])
    assert isinstance(broken, Tile)
    with pytest.raises(WireError, match="crc32c"):
        verify_tile(broken)


def test_checksums_are_castagnoli() -> None:
    assert crc32c(b"123456789") == "e3069283"  # RFC 3720, B.4, and the usual check value
    assert crc32c(bytes(32)) == "8a9136aa"
    assert crc32c(np.zeros((4, 2), "<f4")) == crc32c(bytes(32))


@pytest.mark.parametrize("dtype", DTYPES)
def test_elements_are_little_endian_and_bit_for_bit(dtype: str) -> None:
    run = FakeRun(fields=(Field("u", (3, 4), dtype),), tile_bytes=1024)
    tile = decode(*record(run.tiles(0)[0]))
    assert isinstance(tile, Tile)
    verify_tile(tile)
    array = elements(tile)
    assert array.dtype.newbyteorder("=") == np.dtype(dtype)
    assert array.tobytes() == run.array("u", 0).tobytes()
    assert not array.dtype.str.startswith(">")


def test_the_value_of_a_tile_is_not_copied() -> None:
    tile = msgspec.structs.replace(RUN.tiles(0)[0], payload=np.zeros((2, 5), "<f4"))
    assert encode(tile)[1] is tile.payload


def test_what_no_reader_takes_is_not_sent() -> None:
    large = msgspec.structs.replace(RUN.started, configuration={"a": "x" * (1 << 20)})
    with pytest.raises(WireError, match="exceeds the limit"):
        encode(large)


def test_a_run_started_is_checked_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="at most 16384"):
        RunStarted(run="r", fields=(Field("u", (1 << 20,)),), tiles={"u": (4,)})


def deflated(payload: bytes, **changes: Any) -> Tile:
    """A tile of 6 times 4 bytes whose elements are all 1, said to be compressed into `payload`."""
    tile = MESSAGES["tile-deflate"]
    assert isinstance(tile, Tile)
    return msgspec.structs.replace(tile, payload=payload, **changes)


SOUND = MESSAGES["tile-deflate"].payload  # type: ignore[union-attr]
assert isinstance(SOUND, bytes)
NOT_DEFLATED = {
    "nothing": b"",
    "garbage": b"\xff" * 16,
    "cut off": SOUND[:-1],
    "cut off before the checksum": SOUND[:-4],
    "with more behind it": SOUND + b"\0",
    "twice": SOUND * 2,
    "in gzip's format": gzip.compress(bytes(24)),
    "without zlib's header": SOUND[2:],
    "too short": zlib.compress(bytes(23)),
    "too long": zlib.compress(bytes(25)),
    "a bomb": zlib.compress(bytes(1 << 26)),
    "with a dictionary": bytes.fromhex("78bb") + SOUND[2:],
    "with another checksum inside": SOUND[:-1] + bytes([SOUND[-1] ^ 1]),
}


@pytest.mark.parametrize("name", NOT_DEFLATED)
def test_what_does_not_inflate_to_its_size_is_refused_without_taking_memory(name: str) -> None:
    tracemalloc.start()
    try:
        for use in (verify_tile, elements):
            with pytest.raises(WireError):
                use(deflated(NOT_DEFLATED[name]))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 8 * len(SOUND) - 1), st.integers(0, len(SOUND)))
def test_a_bent_deflated_tile_is_refused_or_sound(bit: int, cut: int) -> None:
    payload = bytearray(SOUND)
    payload[bit // 8] ^= 1 << bit % 8
    for bent_payload in (bytes(payload), SOUND[:cut], SOUND[:cut] + bytes(payload[cut:])):
        try:
            verify_tile(deflated(bent_payload))
        except WireError:
            continue
        assert elements(deflated(bent_payload)).tolist() == [[1.0] * 3] * 2


mutations = st.lists(
    st.tuples(
        st.sampled_from(["drop", "double", "set", "borrow", "cut", "flip", "value"]),
        st.integers(0, 1 << 16),
        st.binary(max_size=12),
    ),
    min_size=1,
    max_size=3,
)


def bent(message: Record, changes: list[tuple[str, int, bytes]]) -> Record:
    headers, value = list(message[0]), message[1]
    for how, number, data in changes:
        place = number % max(1, len(headers))
        if how in ("drop", "double", "set", "borrow") and headers:
            key, text = headers.pop(place)
            if how == "double":
                headers += [(key, text), (key, text)]
            elif how == "set":
                headers.append((key, data))
            elif how == "borrow":
                headers.append((key, TILE[0][number % len(TILE[0])][1]))
        elif how == "cut":
            value = value[: number % (len(value) + 1)]
        elif how == "flip" and value:
            place = number % len(value)
            value = value[:place] + bytes([value[place] ^ (1 << number % 8)]) + value[place + 1 :]
        elif how == "value":
            value = data
    return headers, value


@settings(max_examples=2500, deadline=None)
@given(st.sampled_from(list(ALL.values())), mutations)
def test_anything_is_understood_or_refused(message: Record, changes: list[tuple[str, int, bytes]]) -> None:
    headers, value = bent(message, changes)
    try:
        understood = decode(headers, value)
    except WireError:
        return
    assert decode(*record(understood)) == understood


JSON_VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(JSON_VALUES, st.sampled_from(["manifest", "run-started", "gap", "run-ended"]))
def test_foreign_values_are_refused(value: Any, kind: str) -> None:
    with pytest.raises(WireError):
        decode(ALL[kind][0], json.dumps(value).encode())
