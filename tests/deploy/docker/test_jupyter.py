"""The profile jupyter: its notebook follows a run that is going on, and draws it."""

import json
import os
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.docker.engine import Engine
from deploy.docker.settings import PROJECT, SINGLE
from deploy.docker.stack import Stack, stack

TOKEN = uuid.uuid4().hex
NOTEBOOK = "work/lockstream/follow-a-run.ipynb"
PNG = "89504e470d0a1a0a"  # how a picture of this kind begins
STATUS = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/api/contents?token={sys.argv[2]}", timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
REACH = "import socket; socket.create_connection(('kafka', 19092), 10).close()"


@pytest.fixture(scope="module")
def jupyter(notebook_engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    token = tmp_path_factory.mktemp("secret") / "token"
    token.write_text(TOKEN)
    if os.getuid() == 0:
        os.chown(token, 1000, 1000)
        token.chmod(0o400)
    with stack(notebook_engine, SINGLE, JUPYTER_TOKEN_FILE=str(token), SEGMENT_SECONDS="1") as started:
        started.up(profiles=["consumers", "jupyter"])
        yield started


def test_only_who_has_the_token_gets_in(jupyter: Stack) -> None:
    def status(token: str) -> str:
        return jupyter.engine.host("python3", "-c", STATUS, jupyter.env["JUPYTER_PORT"], token).stdout.strip()

    assert (status(TOKEN), status("guessed")) == ("200", "403")
    assert TOKEN not in jupyter.compose("top", "jupyter")


def test_the_broker_can_be_reached_and_the_archive_not_be_changed(jupyter: Stack) -> None:
    jupyter.compose("exec", "-T", "jupyter", "python", "-c", REACH)
    tried = jupyter.compose("exec", "-T", "jupyter", "sh", "-c", "touch /archive/mark 2>/dev/null; echo $?")
    assert tried.strip() != "0"


def test_the_notebook_follows_a_live_run_and_draws_it(jupyter: Stack, run_id: str, tmp_path: Path) -> None:
    jupyter.env["RUN_ID"] = run_id
    jupyter.compose("--profile", "simulation", "up", "--detach", "simulation")
    execute = ["nbconvert", "--to", "notebook", "--execute", "--output-dir", "work", NOTEBOOK]
    jupyter.compose("exec", "-T", "--env", f"RUN={run_id}", "jupyter", "jupyter", *execute, timeout=300)

    jupyter.compose("cp", "jupyter:/home/jovyan/work/follow-a-run.ipynb", tmp_path / "done.ipynb")
    cells = json.loads((tmp_path / "done.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    example = tomllib.loads((PROJECT / "examples" / "gray_scott.toml").read_text())
    steps = example["run"]["steps"] // example["stream"]["every"] + 1
    assert f"{run_id}: completed, {steps} steps" in json.dumps(outputs)
    jupyter.compose("cp", f"jupyter:/home/jovyan/work/{run_id}.png", tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes()[:8].hex() == PNG
