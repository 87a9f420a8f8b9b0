"""Records that are not as they should be, all in one real log: what becomes of each, and of the steps around it."""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from confluent_kafka import Producer
from support.archiver_program import follow_to_end
from support.kafka_logs import make_topic, options, produce
from support.runs import JUNK, FakeRun, Log, Record, record

from lockstream.bridge.messages import Field, Gap, run_topic
from lockstream.kafka.archive.against_kafka import compare_with_kafka
from lockstream.kafka.archive.ledger import Entry, Outcome
from lockstream.kafka.archive.verify import verify_run
from lockstream.kafka.archive.view import ledger_of, view_run
from lockstream.kafka.broker import BrokerInfo

RUN = FakeRun(run="records", fields=(Field("u", (8, 500)),), tile_bytes=4000, more={"codec": "deflate"})
OLD = replace(RUN, attempt=0)
NOW = replace(RUN, attempt=1, after_step=0)
Said = tuple[Outcome, str]  # what became of an offset, and a pattern that its reason matches
WHOLE: Said = (Outcome.ARCHIVED, "")
DUPLICATE: Said = (Outcome.DUPLICATE, "")
SUPERSEDED: Said = (Outcome.SUPERSEDED, "")
CONTROL: Said = (Outcome.CONTROL, "")


def bad(reason: str) -> Said:
    return Outcome.QUARANTINED, reason


def with_headers(of: Record, **changes: bytes) -> Record:
    headers, value = of
    kept = [(key, changes.get(key.replace("-", "_"), text)) for key, text in headers]
    known = {key for key, _ in headers}
    return kept + [(key, text) for key, text in changes.items() if key not in known], value


def mixed(
    step: int, strange: dict[int, Record | None], said: dict[int, Said], rest: Said
) -> tuple[Log, list[Said]]:
    """A step with one more record in front of the given ones, or without them (None), and what becomes of each."""
    log: Log = []
    outcomes: list[Said] = []
    for place, good in enumerate(NOW.step(step)):
        if place in strange and (injected := strange[place]) is not None:
            log.append(injected)
            outcomes.append(said[place])
        if place not in strange or strange[place] is not None:
            log.append(good)
            outcomes.append(rest)
    return log, outcomes


def extra(strange: Callable[[int], Record], said: Said) -> Callable[[int], tuple[Log, list[Said]]]:
    """A whole step with a strange record in its middle."""
    return lambda step: mixed(step, {2: strange(step)}, {2: said}, WHOLE)


def in_place_of_a_tile(
    strange: Callable[[int], Record], reason: str
) -> Callable[[int], tuple[Log, list[Said]]]:
    """A step whose third tile is damaged: the step cannot be whole."""

    def build(step: int) -> tuple[Log, list[Said]]:
        log = NOW.step(step)
        log[2] = strange(step)
        torn = bad(rf"step {step} is torn: 1 of 4 tiles are missing or differ: u\[4, 0\]")
        return log, [torn, torn, bad(reason), torn, torn]

    return build


def tile(step: int, **changes: bytes) -> Record:
    return with_headers(NOW.step(step)[2], **changes)


def value(step: int, value: bytes) -> Record:
    return NOW.step(step)[2][0], value


def flipped(step: int) -> Record:
    _, elements = NOW.step(step)[2]
    return value(step, bytes([elements[0] ^ 1]) + elements[1:])


def other_manifest(step: int) -> Record:
    manifest = NOW.manifest(step)
    return record(msgspec.structs.replace(manifest, diagnostics={"mass": -1.0}))


def after_its_step(strange: Callable[[int], Log], *said: Said) -> Callable[[int], tuple[Log, list[Said]]]:
    return lambda step: (NOW.step(step) + strange(step), [WHOLE] * 5 + list(said))


FAULTS: dict[str, Callable[[int], tuple[Log, list[Said]]]] = {
    "a record of a foreign application": extra(lambda _: JUNK, bad("header 'ls-v' is missing")),
    "a tombstone": extra(lambda step: (NOW.step(step)[2][0], None), bad("tombstone")),  # type: ignore[arg-type, return-value]
    "an unknown major version": extra(lambda step: tile(step, ls_v=b"2.0"), bad("schema version 2.0")),
    "an unknown kind": extra(lambda step: tile(step, ls_kind=b"poem"), bad("unknown ls-kind 'poem'")),
    "an unknown optional header": lambda step: (
        [with_headers(each, x_trace=b"1") for each in NOW.step(step)],
        [WHOLE] * 5,
    ),
    "a tile of another run": extra(lambda step: tile(step, run=b"other"), bad("belongs to run 'other'")),
    "a tile of an undeclared field": extra(lambda step: tile(step, field=b"v"), bad("was not declared")),
    "a tile that claims too much": extra(
        lambda step: tile(step, shape=b"999999999,999999999", extent=b"99999999,9999999"), bad("raw-size")
    ),
    "a tile that claims a little too much": extra(
        lambda step: tile(step, shape=b"16,500"), bad("the tile says otherwise")
    ),
    "a manifest too large": extra(
        lambda step: (NOW.step(step)[-1][0], b" " * 1_500_000), bad("exceeds the limit")
    ),
    "a deflate bomb": extra(
        lambda step: with_headers(value(step, zlib.compress(bytes(3_000_000))), codec=b"deflate"),
        bad("does not inflate to the 4000 bytes"),
    ),
    "a tile with a wrong checksum": in_place_of_a_tile(flipped, r"crc32c is \w+, its header says"),
    "a truncated value": in_place_of_a_tile(
        lambda step: value(step, NOW.step(step)[2][1][:-1]), "the value has 3999 bytes"
    ),
    "a missing tile": lambda step: (
        [r for n, r in enumerate(NOW.step(step)) if n != 2],
        [bad("1 of 4 tiles are missing")] * 4,
    ),
    "a missing manifest": lambda step: (
        NOW.step(step)[:-1],
        [bad("before its manifest came|came before its own")] * 4,
    ),
    "a tile that comes twice": lambda step: mixed(step, {2: NOW.step(step)[1]}, {2: DUPLICATE}, WHOLE),
    "a tile after its manifest": after_its_step(lambda step: [NOW.step(step)[1]], DUPLICATE),
    "a late tile in the middle of the next step": lambda step: mixed(
        step, {2: NOW.step(step - 1)[1]}, {2: DUPLICATE}, WHOLE
    ),
    "a second manifest": after_its_step(lambda step: [NOW.step(step)[-1]], DUPLICATE),
    "a second manifest with another digest": after_its_step(
        lambda step: [other_manifest(step)], bad("torn|again")
    ),
    "a step that comes again": after_its_step(NOW.step, *[DUPLICATE] * 5),
    "a step that comes again with another digest": after_its_step(
        lambda step: [*NOW.step(step)[:-1], other_manifest(step)],
        *[bad("came again, with other contents")] * 5,
    ),
    "run-started again": extra(lambda _: record(NOW.started), DUPLICATE),
    "another run-started of the same attempt": extra(
        lambda _: record(msgspec.structs.replace(NOW.started, time_units="h")),
        bad("a second, different run-started"),
    ),
    "a record of an attempt that never started": extra(
        lambda step: record(replace(NOW, attempt=7).tiles(step)[0]), bad("no run-started of attempt 7")
    ),
    "a message of a stale attempt": extra(lambda step: OLD.step(step)[0], SUPERSEDED),
    "a step that the producer dropped": lambda step: (
        [record(Gap(run="records", attempt=1, step=step, reason="no room"))],
        [(Outcome.CONTROL, "no room")],
    ),
}


class Archived(NamedTuple):
    """The log, by fault: where it begins and what is said of its records; and what was archived of it."""

    folder: Path
    places: dict[str, tuple[int, list[Said]]]
    entries: list[Entry]
    steps: list[int]


@pytest.fixture(scope="module")
def archived(broker: BrokerInfo, tmp_path_factory: pytest.TempPathFactory) -> Archived:
    """All faults in one log, each with a step of its own and whole steps around it, archived by a process."""
    begin = [record(OLD.started), *OLD.step(0), *OLD.step(1), *OLD.step(2)[:2], record(NOW.started)]
    log, places = [*begin], {}
    number = 0
    for name, build in FAULTS.items():
        number += 2
        log += NOW.step(number - 1)
        records, said = build(number)
        places[name] = (len(log), said)
        log += records
    places["a newer attempt"] = (0, [CONTROL, *[WHOLE] * 5, *[SUPERSEDED] * 7, CONTROL])
    make_topic(broker, "records")
    produce(broker, "records", [log])
    places["a foreign transaction"] = (len(log), foreign_transaction(broker, log))
    produce(broker, "records", [[*NOW.step(number + 1), record(NOW.ended(range(1, number + 2)))]])
    folder = tmp_path_factory.mktemp("records")
    done = follow_to_end(broker, folder, "records", sets=("archive.segment_bytes=40000",))
    assert done.returncode == 0, done.stderr
    view = view_run(folder / "records")
    assert compare_with_kafka(folder / "records", options(broker)) == []
    return Archived(folder / "records", places, ledger_of(view), view.steps.tolist())


def foreign_transaction(broker: BrokerInfo, log: Log) -> list[Said]:
    """Put one committed and one aborted record of another application into the topic."""
    producer = Producer(options(broker) | {"transactional.id": "foreign"})
    producer.init_transactions(20)
    for end in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        producer.produce(run_topic("records"), b"not one of ours", partition=0)
        assert producer.flush(20) == 0
        end(20)
    marker = bad("markers of a foreign application's transactions")
    return [bad("header 'ls-v' is missing"), marker, marker, marker]


@pytest.mark.parametrize("fault", [*FAULTS, "a newer attempt", "a foreign transaction"])
def test_what_becomes_of(archived: Archived, fault: str) -> None:
    first, said = archived.places[fault]
    became = list(fates(archived.entries, range(first, first + len(said))))
    assert [outcome for outcome, _ in became] == [outcome for outcome, _ in said]
    for (_, reason), (_, pattern) in zip(became, said, strict=True):
        assert re.search(pattern, reason), reason


def test_every_step_around_the_faults_is_there(archived: Archived) -> None:
    assert set(range(1, 2 * len(FAULTS) + 2, 2)) <= set(archived.steps)


def test_verify_counts_the_steps_that_came_torn(archived: Archived) -> None:
    """Two with a damaged tile, one without a tile, one without its manifest; the dropped one is accounted for."""
    result = verify_run(archived.folder)
    assert [fault.what.split(":")[0] for fault in result.faults] == ["4 steps are lost"]


def fates(entries: list[Entry], offsets: range) -> Iterator[tuple[Outcome, str]]:
    for offset in offsets:
        (entry,) = (e for e in entries if e.first <= offset < e.stop)
        yield entry.outcome, entry.reason
