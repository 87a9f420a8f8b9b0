"""The doctor inside a real job."""

import json
from pathlib import Path

import pytest
from support.slurm import Slurm

SCRIPT = """\
#!/bin/bash
#SBATCH --nodes=1 --ntasks=2 --time=10 --output=job.log
lockstream doctor --only mpi --only slurm --json >findings.json
"""


@pytest.mark.parametrize(("option", "state"), [("--requeue", "ok"), ("--no-requeue", "warning")])
def test_what_a_job_is_like(slurm: Slurm, tmp_path: Path, option: str, state: str) -> None:
    (tmp_path / "job.sh").write_text(SCRIPT)
    job = slurm.sbatch(option, "job.sh", cwd=tmp_path, TMPDIR=str(tmp_path))
    assert slurm.wait(job) == ["COMPLETED"], (tmp_path / "job.log").read_text()
    findings = json.loads((tmp_path / "findings.json").read_text())
    found = {finding["what"]: finding for finding in findings}
    states = {what: finding["state"] for what, finding in found.items()}
    assert states == {
        "two ranks": "ok",
        "srun --mpi": "ok",
        "requeue": state,
        "time limit": "ok",
        "node-local folder": "ok",
    }
    assert found["time limit"]["found"].startswith("00:10:00, of which ")
    assert "--mpi=pmi2" in found["srun --mpi"]["found"]
    assert ("#SBATCH --requeue" in found["requeue"]["cure"]) == (state == "warning")
