import os

import pytest


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers see what processes write; whether the disk keeps it makes no difference to them."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
