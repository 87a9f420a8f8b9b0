"""The labs are done by a student who never predicts anything: every cell runs, every check of theirs holds."""

import os
import signal
import uuid
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from support.marked import processes
from support.waiting import wait_until

LABS = Path(__file__).parents[2] / "docs" / "labs"
MARK = "TEST_OF_THE_LABS"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [pytest.param(path.stem, marks=pytest.mark.drill) for path in sorted(LABS.glob("*.ipynb"))],
)
def test_a_lab_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder stays as it was, and what it started has ended with it."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook, before = nbformat.read(LABS / f"{name}.ipynb", as_version=4), set(os.listdir(LABS))
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(LABS)}})
    try:
        client.execute()
        wait_until(lambda: not processes(MARK, mark, tmp_path))
    finally:
        for pid in processes(MARK, mark, tmp_path):
            os.kill(pid, signal.SIGKILL)
    assert set(os.listdir(LABS)) == before
