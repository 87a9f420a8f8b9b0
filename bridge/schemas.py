"""The published JSON Schemas, written from the message classes: ``python -m lockstream.bridge.schemas FOLDER``."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lockstream.bridge.control import Command
from lockstream.bridge.messages import Gap, Manifest, RunEnded, RunStarted, Steered

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> Mapping[str, dict[str, Any]]:
    """JSON Schema of each message that is JSON, by its kind."""
    kinds = (RunStarted, Manifest, Gap, Steered, RunEnded, Command)
    return {
        str(kind.__struct_config__.tag): {"$schema": DIALECT, **msgspec.json.schema(kind)} for kind in kinds
    }


def write_schemas(folder: Path) -> None:
    """Write ``KIND.json`` for each of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, schema in schemas().items():
        (folder / f"{kind}.json").write_bytes(msgspec.json.format(msgspec.json.encode(schema)) + b"\n")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
