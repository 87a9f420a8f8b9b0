"""One private Slurm for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.slurm import PACKAGES, Slurm, missing_programs, private_slurm


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    if missing := missing_programs():
        pytest.skip(f"{', '.join(missing)} not installed; on Debian and Ubuntu: {PACKAGES}")
    # munged wants a folder that everybody may enter, which pytest's own are not.
    with TemporaryDirectory(prefix="lockstream-slurm-") as folder, private_slurm(Path(folder)) as cluster:
        yield cluster
