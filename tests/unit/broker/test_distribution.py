from pathlib import Path

import pytest

from lockstream.kafka.broker.distribution import find_kafka
from lockstream.kafka.broker.errors import UnusableKafkaHome


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "libs").mkdir()
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    return tmp_path


def test_an_installed_kafka_is_used_as_it_is(home: Path) -> None:
    for name in ("kafka_2.13-4.1.0.jar", "kafka_2.13-4.1.0-sources.jar", "kafka-clients-4.1.0.jar"):
        (home / "libs" / name).touch()
    kafka = find_kafka()
    assert (kafka.version, kafka.classpath) == ("4.1.0", f"{home}/libs/*")


def test_a_kafka_that_still_needs_zookeeper_is_refused(home: Path) -> None:
    (home / "libs" / "kafka_2.13-3.9.1.jar").touch()
    with pytest.raises(UnusableKafkaHome, match=r"it is Kafka 3.9.1, older than 4.0"):
        find_kafka()


def test_a_folder_that_is_no_kafka_is_refused(home: Path) -> None:
    with pytest.raises(UnusableKafkaHome, match=r"KAFKA_HOME = .*there is no kafka_2.13"):
        find_kafka()
