"""Getting ready for starts without a network, which then also take less time."""

import logging
import os
import tempfile
from pathlib import Path

from lockstream.bridge.errors import LockstreamError
from lockstream.kafka.broker.artifacts import Progress, cache_folder
from lockstream.kafka.broker.class_archive import archive_path, writing_flags
from lockstream.kafka.broker.distribution import find_kafka
from lockstream.kafka.broker.java import find_java
from lockstream.kafka.broker.launch import Manner, end, launch
from lockstream.kafka.broker.process import spawn_tied
from lockstream.kafka.broker.state import StateFolder

_log = logging.getLogger(__name__)


def fetch(progress: Progress | None = None) -> Path:
    """Download what starts need, record an archive of Kafka's classes, and return the cache folder.

    The archive only saves time: where it cannot be made (a login node may not let a JVM run), a warning says so.

    Raises
    ------
    FetchFailed, UntrustedJar, UserError
        The jars cannot be had.
    """
    find_kafka(progress)
    try:
        _record_classes()
    except LockstreamError as error:
        _log.warning(
            "starts will take about a second longer, because Kafka could not be run once here: %s", error
        )
    return cache_folder()


def _record_classes() -> None:
    """Run a broker that serves nobody, so that the JVM writes an archive of what it loads."""
    archive = archive_path(find_java())
    if archive.exists() or os.environ.get("KAFKA_HOME"):
        return
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=".classes-") as scratch:
        written = Path(scratch, archive.name)
        folder = StateFolder(Path(scratch, "broker"))
        manner = Manner(spawn=spawn_tied, flags=lambda java: writing_flags(java, written))
        running = launch(folder, manner, 0)
        end(running.process)
        if written.exists():  # not with every build of Java
            os.replace(written, archive)
