"""The shell commands of the pages, as they stand there, from top to bottom.

A page's ``bash`` blocks are run; its ``console`` blocks are what cannot be run here, or what varies.
"""

import os
import re
import shlex
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.docker.engine import Engine
from deploy.docker.images import lockstream_image, offline_options
from deploy.docker.settings import PROJECT
from deploy.docker.stack import PORTS, free_ports
from support.pages import commands
from support.programs import BIN, run

PAGES = PROJECT / "docs" / "how-to"
COMPOSE_PAGE, IMAGE_PAGE = PAGES / "run-kafka-with-docker-compose.md", PAGES / "containers.md"


def script(page: Path, build_options: list[str]) -> str:
    """One script of all blocks, which ends at the first command that fails; builds are done without internet."""
    options = shlex.join(build_options)
    build = f'build) shift; command docker build {options} "$@"'
    wrapper = f'docker() {{ case $1 in {build};; *) command docker "$@";; esac; }}'
    return "\n".join(["set -euxo pipefail", wrapper, *commands(page)])


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A copy of the project with a shorter example, and Compose projects of other names than a user's."""
    copy = tmp_path / "lockstream"
    listed = run("git", "-C", PROJECT, "ls-files", "--cached", "--others", "--exclude-standard").stdout
    for name in listed.splitlines():
        if (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, copy / name)
    _replace(copy / "examples" / "gray_scott.toml", r"^steps = \d+", "steps = 400")
    for name in ("compose.yaml", "cluster.yaml"):
        _replace(
            copy / "compose" / name, r"^name: lockstream", f"name: lockstream-test-{uuid.uuid4().hex[:8]}"
        )
    (copy / "compose" / "jupyter-token").touch(mode=0o644)
    return copy


def _replace(path: Path, pattern: str, by: str) -> None:
    text, count = re.subn(pattern, by, path.read_text(), flags=re.MULTILINE)
    assert count == 1, f"{pattern} is in {path} {count} times"
    path.write_text(text)


def test_the_page_on_compose(notebook_engine: Engine, image: str, clone: Path) -> None:
    engine = notebook_engine
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    env = {**engine.env, **ports, "RUN_CONFIG": "/config/gray_scott.toml", "HOME": str(clone.parent)}
    env["LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{ports['KAFKA_PORT']}"
    env["PATH"] = f"{BIN}{os.pathsep}{engine.env.get('PATH', os.environ['PATH'])}"
    try:
        ended = run(*engine.prefix, "bash", "-c", script(COMPOSE_PAGE, []), env=env, cwd=clone, timeout=600)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    finally:
        for files in (["compose.yaml"], ["compose.yaml", "cluster.yaml"]):
            named = [word for file in files for word in ("--file", clone / "compose" / file)]
            engine.docker(
                "compose", *named, "--profile", "*", "down", "--volumes", "--timeout", "10", env=env
            )
    assert "nothing lost, duplicated or torn" in ended.stdout
    assert "in-a-container" in ended.stdout
    assert (clone / "archive" / "my-run" / "run.h5").exists()


def test_the_page_on_the_image(engine: Engine, clone: Path) -> None:
    tag = (
        f"lockstream-test:{uuid.uuid4().hex[:8]}"  # the other tests' image is not to be replaced by this one
    )
    text = script(IMAGE_PAGE, offline_options(engine)).replace(lockstream_image(), tag)
    try:
        ended = run(*engine.prefix, "bash", "-c", text, env=engine.env, cwd=clone, timeout=600)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    finally:
        engine.docker("image", "rm", "--force", tag)
    assert re.search(r"heat, .* steps on (1 x 2|2 x 1) ranks", ended.stdout)


@pytest.mark.parametrize("page", [COMPOSE_PAGE, IMAGE_PAGE], ids=lambda page: page.stem)
def test_what_is_not_run_is_said_not_to_be_tried_or_varies(page: Path) -> None:
    assert len(commands(page)) >= 1
    assert "not tried" in page.read_text().lower()
