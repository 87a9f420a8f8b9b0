"""What the other tests of this folder stand on: the private Slurm starts jobs, and MPI in them, over both nodes."""

from pathlib import Path

import pytest
from support.slurm import COMPLETED, Slurm

SCRIPT = """\
#!/bin/bash
srun {mpi} python3 -c 'from mpi4py import MPI; print("rank", MPI.COMM_WORLD.rank, "of", MPI.COMM_WORLD.size)'
"""


@pytest.mark.parametrize("mpi", ["--mpi=pmi2"])
def test_ranks_on_two_nodes_are_one_world(slurm: Slurm, tmp_path: Path, mpi: str) -> None:
    (tmp_path / "job.sh").write_text(SCRIPT.format(mpi=mpi))
    job = slurm.sbatch("--nodes=2", "--ntasks=2", "--output=out", "job.sh", cwd=tmp_path)
    assert slurm.wait(job) == [COMPLETED]
    assert sorted((tmp_path / "out").read_text().splitlines()) == ["rank 0 of 2", "rank 1 of 2"]
