"""What the stream is told of a run's configuration."""

from typing import Any

import pytest

from lockstream.bridge.settings import convert
from lockstream.mpi_jobs import observers
from lockstream.mpi_jobs.config import Configuration


def test_secrets_are_not_stored_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {
        "run": {"id": "r", "model": "heat", "steps": 1},
        "domain": {"shape": [4, 4]},
        "kafka": {"sasl.password": "hush-1"},
        "steering": {"enabled": True, "secret": "hush-2"},
    }
    told: dict[str, Any] = {}
    monkeypatch.setattr(observers, "open_stream", lambda comm, **about: told.update(about))
    observers.open_stream_observer(None, convert(given, Configuration))  # type: ignore[arg-type]
    assert "hush" not in str(told["configuration"])
    assert told["configuration"]["steering"] == {"enabled": True, "topic": "lockstream.control"}
    assert told["configuration"]["run"]["id"] == "r"
