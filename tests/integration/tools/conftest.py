"""The command line in this process: what it prints, and the exit code that its user sees."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from lockstream.cli.main import main


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def lockstream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """``lockstream("archive", "show", folder)``, as typed at a prompt."""

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["lockstream", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, out, err)

    return run
