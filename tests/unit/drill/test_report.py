"""A row of the bridge's drill is clean only if every promise was kept."""

from dataclasses import replace

import pytest

from lockstream.bridge.errors import UserError
from lockstream.cli.bridge_fault import ANY, Fault
from lockstream.cli.bridge_faults import FAULTS, chosen
from lockstream.cli.bridge_log import Likeness, RunLog
from lockstream.cli.bridge_report import HEADINGS, Row
from lockstream.cli.bridge_run import Counts

COUNTS = Counts(accepted=80, acknowledged=80, spilled=20, dropped=3, longest_wait=1.05)
CLEAN = Row(
    fault="f",
    policy="drop",
    exit_codes=(0,),
    counted=COUNTS,
    archived=77,
    gaps=3,
    max_stall=1.0,
    likeness=Likeness.WHOLE,
)


def test_a_clean_row() -> None:
    assert CLEAN.is_clean
    cells = ("f", "drop", "0", "80", "80", "20", "3", "77", "0", "0", "1050", "1000", "yes")
    assert CLEAN.cells() == cells
    assert len(cells) == len(HEADINGS)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lost": 1}, "lost"),
        ({"likeness": Likeness.FIELDS}, "differ"),
        ({"likeness": Likeness.NONE, "is_on_other_ranks": True}, "differ"),
        ({"gaps": 2}, "gaps"),
        ({"counted": COUNTS._replace(longest_wait=1.11)}, "waited 1.110 s"),
        ({"problems": ["torn"]}, "torn"),
    ],
)
def test_a_broken_promise_is_said(change: dict[str, object], word: str) -> None:
    row = replace(CLEAN, **change)  # type: ignore[arg-type]
    assert not row.is_clean
    assert word in " ".join(row.faults)


def test_what_nobody_knows_is_no_fault() -> None:
    row = replace(CLEAN, counted=None, exit_codes=(None, 0))
    assert row.is_clean
    assert row.cells()[2:] == ("-, 0", "-", "-", "-", "-", "77", "0", "0", "-", "1000", "yes")


def test_accepted_steps_that_are_not_in_the_log_are_found() -> None:
    log = RunLog({0: "a", 1: "b"}, {}, {0: 2, 1: 1})
    assert log.superseded == 1
    assert log.shortfalls([COUNTS._replace(accepted=2, dropped=0), None]) == []
    (fault,) = log.shortfalls([COUNTS._replace(accepted=4, dropped=1), None])
    assert fault == "attempt 0: 4 steps were accepted, 1 of them dropped, and 2 are in the log"


def test_runs_are_compared_step_by_step() -> None:
    reference = RunLog({0: "a", 1: "b", 2: "c"}, {0: (1, 2), 1: (3, 4), 2: (5, 6)}, {})
    assert RunLog({0: "a", 1: "b"}, {0: (1, 2), 1: (3, 4)}, {}).likeness(reference) is Likeness.WHOLE
    assert RunLog({0: "a", 1: "x"}, {0: (1, 2), 1: (3, 4)}, {}).likeness(reference) is Likeness.FIELDS
    assert RunLog({0: "a", 1: "x"}, {0: (1, 2), 1: (3, 9)}, {}).likeness(reference) is Likeness.NONE
    assert RunLog({3: "d"}, {3: (7, 8)}, {}).likeness(reference) is Likeness.NONE


def test_on_other_ranks_the_fields_must_be_equal() -> None:
    row = replace(CLEAN, likeness=Likeness.FIELDS, is_on_other_ranks=True)
    assert row.is_clean
    assert row.cells()[-1] == "fields"


def test_exit_codes_must_be_the_expected_ones() -> None:
    killed = Fault(title="t", action=lambda _bench, _run: None, exit_codes=(ANY, 0))
    assert killed.allows((137, 0))
    assert not killed.allows((0, 0))
    assert not killed.allows((137,))
    assert not killed.allows((137, 1))


def test_faults_are_chosen_by_name() -> None:
    assert list(chosen(())) == list(FAULTS)
    assert list(chosen(("drop", "broker-kill"))) == ["broker-kill", "drop"]
    with pytest.raises(UserError, match=r"--only = 'flood': no such fault; there are broker-kill, "):
        chosen(("flood",))
