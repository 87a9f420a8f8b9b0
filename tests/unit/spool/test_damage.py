"""Whatever happens to a spool's files: never a wrong record, and what was synced is there or its loss is named."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spools import expected, item, opened

from lockstream.bridge.errors import SpoolDamaged
from lockstream.bridge.spool import Spool
from lockstream.bridge.spool_format import DATA_OFFSET, SpoolRecord, item_size
from lockstream.bridge.spool_report import describe_spool

EACH = item_size(item(0))
ITEMS, SYNCED = 6, 3
NAME = "000000000000000000.items"


def killed_spool(folder: Path) -> bytes:
    """A file as a killed writer leaves it: some items synced, some not."""
    folder.mkdir()
    spool = opened(folder)
    for seq in range(ITEMS):
        spool.append(seq, item(seq))
        if seq == SYNCED - 1:
            spool.sync()
    raw = (folder / NAME).read_bytes()
    spool.close()
    (folder / NAME).write_bytes(raw)
    return raw


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("spools") / "run"
    return folder, killed_spool(folder)


def found(folder: Path, raw: bytes) -> list[SpoolRecord]:
    """What a spool yields whose file holds these bytes, as far as it goes; it can be written to again."""
    laid_out(folder, raw)
    with Spool(folder, 1 << 20) as spool:
        last = spool.last_seq
        spool.append(100, item(100))
        records = list(spool.read())
        assert records[-2:] == expected((100,))
        return records[:-2] if last >= 0 else []


def laid_out(folder: Path, raw: bytes) -> None:
    """Let the spool have one file."""
    for path in folder.glob("*.items"):
        path.unlink()
    (folder / NAME).write_bytes(raw)


def is_whole_prefix(records: list[SpoolRecord], least: int = 0) -> bool:
    count, rest = divmod(len(records), 2)
    return rest == 0 and count >= least and records == expected(range(count))


def test_cut_at_every_byte(left_behind: tuple[Path, bytes]) -> None:
    folder, raw = left_behind
    mark = DATA_OFFSET + SYNCED * EACH
    for length in range(len(raw)):
        if length < mark:
            with pytest.raises(SpoolDamaged, match=f"{NAME}, byte {length}"):
                found(folder, raw[:length])
        else:
            assert len(found(folder, raw[:length])) == 2 * ((length - DATA_OFFSET) // EACH)
            assert is_whole_prefix(found(folder, raw[:length]), SYNCED)


def test_flip_bits(left_behind: tuple[Path, bytes]) -> None:
    folder, raw = left_behind
    for bit in range(0, 8 * len(raw), 11):  # each place in a byte comes in turn
        bent = bytearray(raw)
        bent[bit // 8] ^= 1 << bit % 8
        try:
            records = found(folder, bytes(bent))
        except SpoolDamaged as damaged:
            assert damaged.path == folder / NAME  # noqa: PT017
            assert damaged.offset <= bit // 8  # noqa: PT017
            assert bit // 8 < DATA_OFFSET + SYNCED * EACH
        else:
            assert bit // 8 >= DATA_OFFSET + SYNCED * EACH
            assert is_whole_prefix(records, SYNCED)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 2000), rubbish=st.binary(max_size=300), keeps_rest=st.booleans())
def test_garbage_anywhere(left_behind: tuple[Path, bytes], at: int, rubbish: bytes, keeps_rest: bool) -> None:
    folder, raw = left_behind
    at = min(at, len(raw))
    bent = raw[:at] + rubbish + (raw[at + len(rubbish) :] if keeps_rest else b"")
    try:
        records = found(folder, bent)
    except SpoolDamaged:
        assert bent[: DATA_OFFSET + SYNCED * EACH] != raw[: DATA_OFFSET + SYNCED * EACH]
    else:
        assert is_whole_prefix(records, SYNCED)


def test_a_torn_tail_is_said_and_looked_at_without_being_touched(left_behind: tuple[Path, bytes]) -> None:
    folder, raw = left_behind
    laid_out(folder, raw[:-1])
    report = describe_spool(folder)
    assert (report.items, report.unfinished_bytes, report.faults) == (ITEMS - 1, EACH - 1, ())
    assert (folder / NAME).read_bytes() == raw[:-1]
    with Spool(folder, 1 << 20) as spool:
        assert [(cut.offset, cut.size) for cut in spool.cut_off] == [(len(raw) - EACH, EACH - 1)]


def test_items_in_two_files_are_damage(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as spool:
        spool.append(0, item(0))
        spool.append(1, item(1))
    with opened(tmp_path / "b") as spool:
        spool.append(1, item(1))
    shutil.copy(tmp_path / "b" / "000000000000000001.items", tmp_path / "a")
    with pytest.raises(SpoolDamaged, match="in the file before"):
        Spool(tmp_path / "a", 1 << 20)
    (tmp_path / "a" / NAME).rename(tmp_path / "a" / "000000000000000002.items")
    with pytest.raises(SpoolDamaged, match="first item is 0"):
        Spool(tmp_path / "a", 1 << 20)


def test_a_spool_json_that_is_not_one(tmp_path: Path) -> None:
    opened(tmp_path).close()
    (tmp_path / "spool.json").write_text('{"run": "../x", "topic": "lockstream.run.../x"}')
    with pytest.raises(SpoolDamaged, match=r"spool\.json"):
        Spool(tmp_path, 1 << 20)


WRITER = """
import sys
from pathlib import Path
from support.spools import item, opened
spool = opened(Path(sys.argv[1]), roll_bytes=1 << 16)
for seq in range(10**6):
    spool.append(seq, item(seq, 50))
    if seq % 7 == 0:
        spool.sync()
        print(seq, flush=True)
"""


@pytest.mark.parametrize("moment", [1, 5, 30])
def test_what_a_killed_writer_had_synced_is_there(tmp_path: Path, moment: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            synced = [int(process.stdout.readline()) for _ in range(moment)]
        finally:
            process.send_signal(signal.SIGKILL)
    with Spool(tmp_path, 1 << 30) as spool:  # the lock went with its holder
        records = list(spool.read())
        assert len(records) == 50 * spool.items
        assert spool.last_seq >= synced[-1]
    assert records == expected(range(len(records) // 50), 50)
