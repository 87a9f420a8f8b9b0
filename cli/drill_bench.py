"""What all drills share: a scratch folder with a broker's address, archivers, waiting with a limit, the verdict."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lockstream.bridge.errors import LockstreamError
from lockstream.kafka.archive.against_kafka import compare_with_kafka
from lockstream.kafka.archive.layout import SEGMENTS
from lockstream.kafka.archive.verify import Verified, verify_run
from lockstream.kafka.children import Child

END_SECONDS = 120.0
LOOK_SECONDS = 0.05

Say = Callable[[str], None]


class DrillFailed(LockstreamError):
    """The drill itself did not work; it says nothing about what was drilled."""


class Bench:
    """The scratch set-up: broker, archive and logs in one folder.

    Parameters
    ----------
    folder
        Where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.servers = folder, ""
        self.archive = folder / "archive"
        self._archivers = 0

    @property
    def environment(self) -> dict[str, str]:
        """What the drill's programs get."""
        return os.environ | {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": self.servers}

    def start_archiver(self, run: str, options: Sequence[str] = ()) -> Child:
        """Start ``lockstream archive follow`` with small segments."""
        sets = ["archive.segment_bytes=8000000", "archive.segment_seconds=0.5", *options]
        command = [sys.executable, "-m", "lockstream.cli", "archive", "follow", "--run", run]
        command += ["--archive", str(self.archive), *(word for item in sets for word in ("--set", item))]
        self._archivers += 1
        log = self.folder / f"archiver-{self._archivers}.log"
        return Child("archiver", command, log, self.environment)

    def wait_for_archiver(self, archiver: Child) -> None:
        """Wait until an archiver has done its work."""
        wait_for(lambda: archiver.exit_code is not None, "the archiver's end")
        if archiver.exit_code:
            raise DrillFailed(
                f"the archiver ended with exit code {archiver.exit_code}: {archiver.log.read_text()}"
            )
        archiver.end()

    def has_segments(self, run: str) -> bool:
        """Whether something is sealed."""
        return any((self.archive / run / SEGMENTS).glob("*.h5"))

    def verify(self, run: str) -> tuple[Verified, list[str]]:
        """Verify the archive of a run, alone and against Kafka; return also all that is wrong with it."""
        folder = self.archive / run
        verified = verify_run(folder)
        faults = [*verified.faults, *compare_with_kafka(folder, {"bootstrap.servers": self.servers})]
        return verified, [fault.what for fault in faults]


def wait_for(condition: Callable[[], bool], what: str, seconds: float = END_SECONDS) -> None:
    """Wait for a condition.

    Raises
    ------
    DrillFailed
        If it does not hold after `seconds`.
    """
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise DrillFailed(f"waited {seconds:.0f} s for {what}")
        time.sleep(LOOK_SECONDS)
