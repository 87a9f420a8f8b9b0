"""Archives of loaded classes: with one, Kafka starts in half the CPU time and about a second earlier.

A JVM writes one at its end, in 3 to 7 s, so that this is done once, by `lockstream broker fetch`, with a broker
that serves nobody; see https://openjdk.org/jeps/350 (Java 13) and https://openjdk.org/jeps/514 (Java 25).
A JVM that finds the archive unfit (another build, another class path) says so in its log and starts without.
"""

import hashlib
import os
from pathlib import Path

from lockstream.kafka.broker.artifacts import cache_folder
from lockstream.kafka.broker.java import Java

# Java runtimes made by jlink lack the base archive that the older way builds on.
_FIRST_WITH_AOT_CACHE = 25


def archive_path(java: Java) -> Path:
    """Return where the archive for this very Java is, or would be."""
    runtime = hashlib.sha256(f"{java.executable.resolve()}\n{java.version}".encode()).hexdigest()[:12]
    return cache_folder() / f"classes-{java.major}-{runtime}"


def reading_flags(java: Java) -> list[str]:
    """Return the flags with which this Java uses its archive; none where there is no archive."""
    path = archive_path(java)
    if os.environ.get("KAFKA_HOME") or not path.exists():
        return []
    return [
        f"-XX:AOTCache={path}" if java.major >= _FIRST_WITH_AOT_CACHE else f"-XX:SharedArchiveFile={path}"
    ]


def writing_flags(java: Java, path: Path) -> list[str]:
    """Return the flags with which this Java writes an archive at its end."""
    newer = java.major >= _FIRST_WITH_AOT_CACHE
    return [f"-XX:AOTCacheOutput={path}" if newer else f"-XX:ArchiveClassesAtExit={path}"]
