"""What the stream is told of a run's configuration."""

from typing import Any

import pytest

from lockstream.bridge.settings import convert
from lockstream.mpi_jobs import observers
from lockstream.mpi_jobs.checkpoint import FRESH, Progress, Start
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


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (None, (0, -1, -1)),
        (lambda c: Start(0, FRESH, c), (0, -1, -1)),
        (lambda c: Start(1, FRESH, c), (1, -1, 0)),
        (lambda c: Start(2, Progress(50, 0.5, 40, 5), c), (2, 40, 5)),
    ],
)
def test_a_later_attempt_says_how_many_steps_there_were_before_it(
    monkeypatch: pytest.MonkeyPatch, start: Any, told: tuple[int, int, int]
) -> None:
    given = {"run": {"id": "r", "model": "heat", "steps": 1}, "domain": {"shape": [4, 4]}}
    configuration, about = convert(given, Configuration), {}
    monkeypatch.setattr(observers, "open_stream", lambda comm, **more: about.update(more))
    observers.open_stream_observer(None, configuration, start and start(configuration))  # type: ignore[arg-type]
    assert (about["attempt"], about["after_step"], about["steps_before"]) == told
