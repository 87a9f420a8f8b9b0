import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from support.golden import MESSAGES
from support.runs import Record, record

from lockstream.bridge.messages import RunStarted, Tile
from lockstream.bridge.schemas import schemas, write_schemas
from lockstream.bridge.wire import decode, elements, verify_tile

GOLDEN = Path(__file__).parents[2] / "golden"
SCHEMAS = Path(__file__).parents[3] / "docs" / "reference" / "schemas"
DIGEST = "e2447777a61e2bc9c5dd10fbf88ad0c35f9ee1a1c286c5b4a124489d01a6831b"
JSON_KINDS = ["run-started", "manifest", "gap", "steered", "run-ended"]
OLD = [path.stem for path in sorted((GOLDEN / "1.0").glob("*.json"))]


def golden(name: str) -> Record:
    document: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    text, digits = document.get("value_text"), document.get("value_hex")
    headers = [(key, value.encode()) for key, value in document["headers"].items()]
    return headers, text.encode() if digits is None else bytes.fromhex(digits)


def test_there_is_one_of_each() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == sorted(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_encoding_gives_these_bytes(name: str) -> None:
    assert record(MESSAGES[name]) == golden(name)


@pytest.mark.parametrize("name", MESSAGES)
def test_decoding_gives_these_objects(name: str) -> None:
    assert decode(*golden(name)) == MESSAGES[name]


@pytest.mark.parametrize("name", OLD)
def test_messages_of_version_1_0_are_still_read(name: str) -> None:
    new = MESSAGES[name]
    changes: dict[str, Any] = {} if isinstance(new, Tile) else {"v": "1.0"}
    if isinstance(new, RunStarted):
        changes["steps_before"] = -1  # came with 1.1
    assert decode(*golden(f"1.0/{name}")) == msgspec.structs.replace(new, **changes)


def test_there_is_one_of_each_kind_of_version_1_0() -> None:
    assert sorted(OLD) == sorted(set(MESSAGES) - {"steered"})


@pytest.mark.parametrize(("name", "last"), [("tile", "ffff7f7f"), ("tile-deflate", "0000803f")])
def test_the_elements_of_a_tile(name: str, last: str) -> None:
    tile = decode(*golden(name))
    assert isinstance(tile, Tile)
    verify_tile(tile)
    assert elements(tile).shape == (2, 3)
    assert elements(tile)[1, 2].tobytes().hex() == last


def test_the_digest_of_a_step_stays_what_it_is() -> None:
    manifest = decode(*golden("manifest"))
    assert manifest.digest == DIGEST  # type: ignore[union-attr]
    again = msgspec.structs.replace(manifest, attempt=5, tiles=tuple(reversed(manifest.tiles)))  # type: ignore[union-attr,type-var]
    assert again.digest == DIGEST


def test_the_published_schemas_are_those_of_the_classes(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    published = {path.name: path.read_text() for path in SCHEMAS.glob("*.json")}
    generated = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    assert sorted(published) == sorted(f"{kind}.json" for kind in [*JSON_KINDS, "command"])
    assert published == generated, (
        "write them again: python -m lockstream.bridge.schemas docs/reference/schemas"
    )


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_golden_messages_validate(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas()[kind])
    jsonschema.validate(json.loads(golden(kind)[1]), schemas()[kind])


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_the_schemas_refuse_what_decode_refuses(kind: str) -> None:
    message = json.loads(golden(kind)[1])
    for wrong in (message | {"attempt": -1}, message | {"kind": "other"}, {**message, "run": None}, []):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schemas()[kind])


def test_a_command_without_a_step_has_no_such_header() -> None:
    steered = msgspec.structs.replace(MESSAGES["steered"], step=-1)  # type: ignore[type-var]
    headers, value = record(steered)
    assert "step" not in dict(headers)
    assert decode(headers, value) == steered
