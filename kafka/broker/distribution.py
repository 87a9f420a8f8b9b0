"""Which Kafka is run: the user's own where KAFKA_HOME is set, otherwise the pinned one."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lockstream.kafka.broker.artifacts import Progress, cache_folder, fetch_jars, pinned
from lockstream.kafka.broker.errors import UnusableKafkaHome

_FIRST_KRAFT_ONLY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    """A Kafka that can be run: its version and its class path."""

    version: str
    classpath: str


def find_kafka(progress: Progress | None = None) -> Kafka:
    """Return the Kafka to run, fetching the pinned one where it is not there yet.

    Raises
    ------
    UnusableKafkaHome
        KAFKA_HOME is set, but holds no Kafka 4 or newer.
    """
    home = os.environ.get("KAFKA_HOME")
    if home:
        return _installed(home)
    jars = fetch_jars(pinned().jars, cache_folder(), progress)
    return Kafka(version=pinned().version, classpath=os.pathsep.join(map(str, jars)))


def _installed(home: str) -> Kafka:
    libs = Path(home).absolute() / "libs"
    versions = [
        found.group(1)
        for jar in libs.glob("kafka_*.jar")
        if (found := re.fullmatch(r"kafka_2\.\d+-(\d+\.\d+\.\d+[^-]*)\.jar", jar.name))
    ]
    if not versions:
        raise UnusableKafkaHome(home, f"there is no kafka_2.13-….jar in {libs}")
    version = versions[0]
    if int(version.partition(".")[0]) < _FIRST_KRAFT_ONLY:
        raise UnusableKafkaHome(home, f"it is Kafka {version}, older than {_FIRST_KRAFT_ONLY}.0")
    return Kafka(version=version, classpath=str(libs / "*"))
