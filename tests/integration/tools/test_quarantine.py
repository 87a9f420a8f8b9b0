"""`archive quarantine`: what an archiver did not understand is listed, shown, and understood by a later one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.kafka_logs import delete_before, follow, stored, verified
from support.runs import JUNK, FakeRun, Log, record

from lockstream.bridge import wire
from lockstream.bridge.codecs import deflate
from lockstream.bridge.messages import Field
from lockstream.bridge.wire import crc32c
from lockstream.kafka.broker import BrokerInfo

Command = Callable[..., Any]
FIELDS = (Field("u", (64, 32), "f4"),)
STEPS = [0, 1, 4]
RECORDS = 4 + 1  # of a step


@pytest.fixture
def kafka(broker: BrokerInfo) -> tuple[str, str]:
    return "--set", f"kafka.bootstrap.servers={broker.bootstrap_servers}"


def compressed_log(run: str, declared: str) -> Log:
    """What a compressing producer sends after saying `declared`, with two foreign records among it."""
    fake = FakeRun(run=run, fields=FIELDS, tile_bytes=2048, more={"codec": declared})
    log = [record(fake.started), JUNK, ([("ls-v", b"1.0")], b"\x00\xff")]
    zeros = np.zeros(fake.started.tiles["u"], "f4")
    as_packed = {"codec": "deflate", "payload": deflate(zeros), "crc32c": crc32c(zeros)}
    for step in STEPS:
        tiles = [msgspec.structs.replace(tile, **as_packed) for tile in fake.tiles(step)]
        records = tuple(tile.record for tile in tiles)
        log += [record(tile) for tile in tiles]
        log.append(record(msgspec.structs.replace(fake.manifest(step), tiles=records)))
    return [*log, record(fake.ended(STEPS))]


def archived_long_ago(broker: BrokerInfo, run: str, folder: Path) -> Path:
    """Archive a compressed run with a version that knows no compression."""
    stored(broker, run, [compressed_log(run, "deflate")])
    with pytest.MonkeyPatch.context() as past:
        past.setattr(wire, "CODECS", ("none",))
        follow(broker, folder, run)
    return folder / run


@pytest.fixture(scope="module")
def old(broker: BrokerInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was archived long ago; nobody changes it."""
    return archived_long_ago(broker, "understood-later", tmp_path_factory.mktemp("old"))


def test_the_list_says_where_and_why(lockstream: Command, old: Path) -> None:
    said = lockstream("archive", "quarantine", "list", old)
    assert (said.code, said.err) == (0, "")
    *lines, total = said.out.splitlines()
    assert lines[0].startswith(f"{old.name}[0] 1: header 'ls-v' is missing")
    assert lines[1].startswith(f"{old.name}[0] 2: header 'ls-kind' is missing")
    assert any("header codec = 'deflate' is not known" in line for line in lines)
    assert total == f"{2 + RECORDS * len(STEPS)} records are quarantined"


def test_the_list_as_json(lockstream: Command, old: Path) -> None:
    said = lockstream("archive", "quarantine", "list", old.parent, "--json")
    found = json.loads(said.out)
    assert found[0]["run"] == old.name
    assert (found[0]["partition"], found[0]["first"], found[0]["last"]) == (0, 1, 1)
    assert sum(record["last"] - record["first"] + 1 for record in found) == 2 + RECORDS * len(STEPS)


def test_records_are_fetched_again_to_be_looked_at(
    lockstream: Command, old: Path, kafka: tuple[str, str]
) -> None:
    said = lockstream("archive", "quarantine", "show", old.name, 1, *kafka)
    assert said == (0, "x: b'y'\n15 bytes: b'not one of ours'\n", "")
    said = lockstream("archive", "quarantine", "show", old.name, 3, *kafka)
    assert "codec: b'deflate'\n" in said.out


def test_a_later_version_understands_them(
    lockstream: Command, broker: BrokerInfo, old: Path, tmp_path: Path, kafka: tuple[str, str]
) -> None:
    before = (old / "run.h5").read_bytes()
    said = lockstream("archive", "quarantine", "retry", old, "--into", tmp_path / "new", *kafka)
    assert (said.code, said.err) == (0, "")
    new = tmp_path / "new" / old.name
    assert said.out.splitlines() == [
        f"{old}: 0 steps, {2 + RECORDS * len(STEPS)} records quarantined",
        f"{new}: {len(STEPS)} steps, 2 records quarantined",
    ]
    assert verified(broker, new).steps == len(STEPS)
    assert (old / "run.h5").read_bytes() == before


def test_archiving_again_gives_the_same_archive(
    lockstream: Command, broker: BrokerInfo, old: Path, tmp_path: Path, kafka: tuple[str, str]
) -> None:
    for name in ("first", "second"):
        assert lockstream("archive", "quarantine", "retry", old, "--into", tmp_path / name, *kafka).code == 0
    follow(broker, tmp_path / "third", old.name, on_end="links", segment_bytes=1)
    for name in ("second", "third"):
        said = lockstream("archive", "diff", tmp_path / "first", tmp_path / name)
        assert said.out.endswith("hold the same, bit for bit\n")


def test_a_retry_over_itself_is_refused(lockstream: Command, old: Path, kafka: tuple[str, str]) -> None:
    said = lockstream("archive", "quarantine", "retry", old, "--into", old.parent, *kafka)
    assert said.code == 2
    assert f"--into = '{old.parent}': is where the run is; name another archive folder" in said.err


def test_what_kafka_no_longer_has_is_the_end_of_it(
    lockstream: Command, broker: BrokerInfo, run_id: str, tmp_path: Path, kafka: tuple[str, str]
) -> None:
    old = archived_long_ago(broker, run_id, tmp_path / "old")
    delete_before(broker, old.name, 4)
    said = lockstream("archive", "quarantine", "show", old.name, 1, *kafka)
    assert said.code == 2
    assert f"OFFSET = 1: lockstream.run.{old.name}[0] has 4 to 18" in said.err
    said = lockstream("archive", "quarantine", "retry", old, "--into", tmp_path / "new", *kafka)
    assert said.code == 2
    assert "deleted" in said.err


def test_a_compressed_tile_of_a_run_that_declared_none_is_set_aside(
    broker: BrokerInfo, lockstream: Command, run_id: str, tmp_path: Path
) -> None:
    stored(broker, run_id, [compressed_log(run_id, "none")])
    follow(broker, tmp_path, run_id)
    said = lockstream("archive", "verify", tmp_path)
    assert (said.code, f"{len(STEPS)} steps are lost" in said.out) == (3, True)
    said = lockstream("archive", "quarantine", "list", tmp_path)
    assert "codec" in said.out
    assert said.out.endswith(f"{2 + RECORDS * len(STEPS)} records are quarantined\n")


def test_mistakes(lockstream: Command, old: Path, tmp_path: Path, kafka: tuple[str, str]) -> None:
    said = lockstream("archive", "quarantine", "show", "no-such-run", 0, *kafka)
    assert said.code == 2
    assert "run 'no-such-run': Kafka has no topic" in said.err
    said = lockstream("archive", "quarantine", "show", old.name, 0, "--partition", 7, *kafka)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    said = lockstream(
        "archive", "quarantine", "retry", tmp_path / "nowhere", "--into", tmp_path / "x", *kafka
    )
    assert said.code == 2
    assert "no archive there" in said.err
    assert lockstream("archive", "quarantine", "list", tmp_path / "nowhere").code == 2
