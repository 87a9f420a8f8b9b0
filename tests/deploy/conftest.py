"""Everything in this folder starts Docker or Slurm, takes minutes, and is run by `make test-deploy`."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before those are left out that -m does not name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder, and only that."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.deploy)
