import os

import pytest


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried here is what processes see; that the disk keeps it cannot be tried by them."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
