"""The shell commands of the page on Slurm, as they stand there, from top to bottom."""

from pathlib import Path

import pytest
from support.jobs import Jobs
from support.pages import commands
from support.programs import run

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "run-on-slurm.md"
LIMIT = 600.0


@pytest.mark.timeout(LIMIT + 30)
def test_all_commands_of_the_page(jobs: Jobs) -> None:
    told = jobs.slurm.environment | {
        "LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": jobs.servers,
        "LOCKSTREAM_RUN_STEPS": "2000",
        "TMPDIR": str(jobs.folder),
    }
    script = "\n".join(["set -euxo pipefail", *commands(PAGE)])
    ended = run("bash", "-c", script, env=told, cwd=jobs.folder, timeout=LIMIT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("nothing lost, duplicated or torn") == 3
    archived = {path.parent.name for path in jobs.archive.glob("*/run.h5")}
    assert archived == {"my-run", "with-kafka", "three-brokers", "study-1", "study-2", "study-3", "both"}
