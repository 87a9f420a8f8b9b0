"""`lockstream drill` finds that nothing was lost, and leaves nothing running."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.programs import LOCKSTREAM, run
from support.waiting import wait_until

from lockstream.cli.drill_processes import marked
from lockstream.kafka import broker as embedded


@pytest.mark.drill
@pytest.mark.timeout(400)
def test_nothing_is_lost_however_the_archiver_is_treated(tmp_path: Path) -> None:
    ended = run(LOCKSTREAM, "drill", "archive", "--kills", "3", "--dir", tmp_path, timeout=350)
    assert (ended.returncode, ended.stderr) == (0, "")
    faults = {
        row[1].strip(): [int(word) for word in row[2].split()]
        for row in re.finditer(r"^(SIG.+?)   +((?:\d+ +){5})", ended.stdout, re.MULTILINE)
    }
    assert list(faults) == ["SIGKILL of the archiver", "SIGSTOP for 12 s", "SIGKILL of the broker"]
    assert [numbers[0] for numbers in faults.values()] == [3, 1, 1]
    for _, acknowledged, archived, lost, doubled in faults.values():
        assert acknowledged == archived > 0
        assert (lost, doubled) == (0, 0)
    assert "FAULT" not in ended.stdout
    verified = run(LOCKSTREAM, "archive", "verify", tmp_path / "archive")
    assert verified.returncode == 0
    assert verified.stdout.count("nothing lost, duplicated or torn") == 3


def rows(printed: str) -> dict[str, list[str]]:
    """The bridge's drill as printed: cells by fault."""
    table = printed[printed.index("\nfault ") :].splitlines()[2:]
    cells = (re.split(r"  +", line.strip()) for line in table if not line.startswith("FAULT"))
    return {fault: rest for fault, *rest in cells}


def assert_nothing_runs(folder: Path) -> None:
    assert list(marked(str(folder))) == []
    assert embedded.status(folder / "broker").info is None


@pytest.mark.drill
@pytest.mark.timeout(300)
def test_the_bridge_loses_nothing_while_the_link_or_the_broker_is_gone(tmp_path: Path) -> None:
    faults = ("--only", "black-hole", "--only", "gone-at-end")
    ended = run(LOCKSTREAM, "drill", "bridge", "--outage", "3", *faults, "--dir", tmp_path, timeout=280)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    found = rows(ended.stdout)
    swallowed, gone = (
        found["link that swallows everything for 3 s"],
        found["broker away at the end, then spool drain"],
    )
    for policy, _, accepted, _, _, dropped, archived, _, lost, *_, equal in (swallowed, gone):
        assert (policy, dropped, lost, equal) == ("spill", "0", "0", "yes")
        assert accepted == archived
    assert int(gone[4]) > 0  # went through the spool
    assert gone[1] == "1"
    verified = run(LOCKSTREAM, "archive", "verify", tmp_path / "archive")
    assert verified.returncode == 0  # the reference is still there
    assert_nothing_runs(tmp_path)


@pytest.mark.timeout(150)
def test_an_interrupted_drill_leaves_nothing_running(tmp_path: Path) -> None:
    with (
        (tmp_path / "out").open("w") as out,
        subprocess.Popen(
            [LOCKSTREAM, "drill", "bridge", "--only", "drop", "--dir", str(tmp_path)], stdout=out
        ) as drill,
    ):
        try:
            wait_until(lambda: any(found.is_publisher for found in marked(str(tmp_path))), 90)
            drill.send_signal(signal.SIGINT)
            assert drill.wait(30) == 130
        finally:
            drill.kill()
    assert_nothing_runs(tmp_path)


def test_a_fault_that_nobody_knows_is_the_users_mistake(tmp_path: Path) -> None:
    ended = run(LOCKSTREAM, "drill", "bridge", "--only", "flood", "--dir", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("lockstream: --only = 'flood': no such fault; there are broker-kill,")
