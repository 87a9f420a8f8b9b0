"""Any sequence of operations against a model: a dictionary."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spools import expected, item, opened

from lockstream.bridge.spool import Spool
from lockstream.bridge.spool_format import DATA_OFFSET, item_size

SEQ = st.integers(0, 30)
OPERATIONS = st.one_of(
    st.tuples(st.just("append"), SEQ),
    st.tuples(st.just("insert"), SEQ),
    st.tuples(st.just("read"), st.integers(1, 4)),
    st.tuples(st.just("delivered"), st.just(0)),
    st.tuples(st.just("sync"), st.just(0)),
    st.tuples(st.just("reopen"), st.just(0)),
)
ROLL_BYTES = DATA_OFFSET + 3 * item_size(item(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spools") / "run"


def read_items(spool: Spool, count: int) -> None:
    for _ in range(count):
        if (found := spool.next_item()) is not None:
            assert list(found[1]) == expected((found[0],))


@settings(max_examples=150, deadline=None)
@given(operations=st.lists(OPERATIONS, max_size=40))
def test_nothing_undelivered_is_ever_missing(folder: Path, operations: list[tuple[str, int]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    spool = opened(folder, roll_bytes=ROLL_BYTES)
    undelivered: set[int] = set()
    largest = -1
    for operation, number in operations:
        if operation == "append" and number > largest:
            spool.append(number, item(number))
            undelivered.add(number)
        elif operation == "insert" and number not in undelivered and number > largest - 5:
            try:
                spool.insert(number, item(number))
            except ValueError:  # delivered, and its file is still there
                continue
            undelivered.add(number)
        elif operation == "read":
            read_items(spool, number)
        elif operation == "delivered":
            spool.delivered(spool.cursor - 1)
            undelivered = {seq for seq in undelivered if seq >= spool.cursor}
        elif operation == "sync":
            spool.sync()
        elif operation == "reopen":
            spool.close()
            spool = opened(folder, roll_bytes=ROLL_BYTES)
        largest = max([largest, *undelivered])
        assert spool.last_seq == largest
    spool.rewind(0)
    read = list(spool.read())
    spool.close()
    seqs = list(dict.fromkeys(record.seq for record in read))
    assert read == expected(sorted(seqs))
    assert undelivered <= set(seqs)
