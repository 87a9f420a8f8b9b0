"""One private Slurm for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.jobs import Jobs
from support.slurm import PACKAGES, Slurm, missing_programs, private_slurm

from lockstream.kafka.broker import BrokerInfo


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    if missing := missing_programs():
        pytest.skip(f"{', '.join(missing)} not installed; on Debian and Ubuntu: {PACKAGES}")
    # munged wants a folder that everybody may enter, which pytest's own are not.
    with TemporaryDirectory(prefix="lockstream-slurm-") as folder, private_slurm(Path(folder)) as cluster:
        yield cluster


@pytest.fixture
def jobs(slurm: Slurm, broker: BrokerInfo, tmp_path: Path) -> Jobs:
    """Jobs whose runs go to the session's broker."""
    return Jobs(slurm, tmp_path, broker.bootstrap_servers)
