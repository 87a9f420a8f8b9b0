"""`lockstream drill` finds that nothing was lost, and leaves nothing running."""

import re
from pathlib import Path

import pytest
from support.programs import LOCKSTREAM, run

pytestmark = [pytest.mark.drill, pytest.mark.timeout(400)]


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
