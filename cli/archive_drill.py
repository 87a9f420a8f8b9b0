"""The drill of the archiver: a paced live stream, an archiver that is killed, stopped and cut off, a verdict."""

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lockstream.bridge import Block, Field, StreamSettings, open_stream
from lockstream.bridge.errors import LockstreamError
from lockstream.cli.children import Child
from lockstream.kafka import broker as embedded
from lockstream.kafka.archive.against_kafka import compare_with_kafka
from lockstream.kafka.archive.layout import RUN_FILE, SEGMENTS, UNSEALED
from lockstream.kafka.archive.verify import verify_run

SHAPE = (256, 512)  # a step of 1 MiB in two fields
PAUSE_SECONDS = 0.01  # between two steps
RUN_KILLS = 20  # kills per run, so that the merge at a run's end is hit often
MERGE_SHARE = 0.3  # of the kills fall on the end of a run
LAST_MOMENT = 0.9  # seconds after an archiver's first word at which it is killed at the latest
CLIENT_TIMEOUT = 6.0  # every time-out of the archiver's client, in the drill that stops it
END_SECONDS = 120.0

Say = Callable[[str], None]


class DrillFailed(LockstreamError):
    """The drill itself did not work; it says nothing about the archive."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a fault did.

    Parameters
    ----------
    fault, times
        What was done, how often.
    hits
        In the middle of what the archiver was, as the files it left show.
    acknowledged, archived
        Steps that Kafka acknowledged, and steps in the archive afterwards.
    faults
        What `archive verify --against-kafka` found.
    """

    fault: str
    times: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    archived: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is lost, doubled or torn."""
        return self.acknowledged == self.archived and self.acknowledged > 0 and not self.faults


def run_drill(folder: Path, kills: int, seed: int, say: Say) -> list[Outcome]:
    """Run all drills of the archiver in `folder` and return what came of them.

    Parameters
    ----------
    folder
        Gets a broker, an archive and logs.
    kills
        How often the archiver is killed.
    seed
        Of the random moments.
    say
        Told about the progress.
    """
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    bench = _Bench(folder)
    with embedded.embedded_broker(folder / "broker") as broker:
        bench.servers = broker.bootstrap_servers
        killed = Outcome(fault="SIGKILL of the archiver")
        while killed.times < kills:
            _kill_repeatedly(bench, chance, min(RUN_KILLS, kills - killed.times), killed)
            say(f"{killed.times} of {kills} kills, {killed.archived} of {killed.acknowledged} steps archived")
        stopped = _stop_archiver(bench, say)
    return [killed, stopped, _kill_broker(bench, say)]


def _kill_repeatedly(bench: "_Bench", chance: random.Random, kills: int, outcome: Outcome) -> None:
    """One run: some kills while it goes on, the others when it has ended and is being merged."""
    at_end = max(1, round(kills * MERGE_SHARE))
    with bench.stream() as stream:
        for _ in range(kills - at_end):
            bench.kill_archiver(stream.run, chance, outcome)
    for _ in range(at_end):
        bench.kill_archiver(stream.run, chance, outcome)
    bench.settle(stream, outcome)


def _stop_archiver(bench: "_Bench", say: Say) -> Outcome:
    """Stop the archiver for longer than every time-out of its client."""
    pause = 2 * CLIENT_TIMEOUT
    say(
        f"SIGSTOP of the archiver for {pause:.0f} s; every time-out of its client is at most {CLIENT_TIMEOUT:.0f} s"
    )
    outcome = Outcome(fault=f"SIGSTOP for {pause:.0f} s", times=1)
    milliseconds = round(CLIENT_TIMEOUT * 1000)
    keys = ("session.timeout.ms", "max.poll.interval.ms", "socket.timeout.ms")
    options = [f"kafka.{key}={milliseconds}" for key in keys]
    with bench.stream() as stream:
        archiver = bench.start_archiver(stream.run, options)
        bench.wait_for(lambda: bench.has_segments(stream.run), "the first segment")
        archiver.signal(signal.SIGSTOP)
        time.sleep(pause)
        archiver.signal(signal.SIGCONT)
    bench.wait_for_end(archiver)
    bench.settle(stream, outcome)
    return outcome


def _kill_broker(bench: "_Bench", say: Say) -> Outcome:
    """Kill the broker in the middle of a run and start it again."""
    say("SIGKILL of the broker in mid-run, and its restart")
    outcome = Outcome(fault="SIGKILL of the broker", times=1)
    folder = bench.folder / "broker"
    broker = embedded.start(folder)
    try:
        bench.servers = broker.bootstrap_servers
        with bench.stream() as stream:
            archiver = bench.start_archiver(stream.run)
            bench.wait_for(lambda: bench.has_segments(stream.run), "the first segment")
            os.kill(broker.pid, signal.SIGKILL)
            bench.wait_for(lambda: embedded.status(folder).info is None, "the broker's end")
            embedded.start(folder)
            before = stream.acknowledged
            bench.wait_for(lambda: stream.acknowledged > before, "an acknowledgement after the restart")
        bench.wait_for_end(archiver)
        bench.settle(stream, outcome)
    finally:
        embedded.stop(folder)
    return outcome


class _Stream:
    """Publishes random frames at a steady pace from a thread, until it is closed."""

    def __init__(self, servers: str) -> None:
        from mpi4py import MPI

        self.run, self.acknowledged = f"drill-{uuid.uuid4().hex[:12]}", 0
        self._stop, self._failure = threading.Event(), ""
        self._stream = open_stream(
            MPI.COMM_SELF,
            run=self.run,
            fields=[Field("u", SHAPE), Field("v", SHAPE)],
            kafka={"bootstrap.servers": servers, "reconnect.backoff.max.ms": 500},
            settings=StreamSettings(close_timeout=END_SECONDS),
        )
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the run; waits for the acknowledgements."""
        self._stop.set()
        self._thread.join(2 * END_SECONDS)
        if self._failure or self._thread.is_alive():
            raise DrillFailed(f"the stream could not be published: {self._failure or 'it does not end'}")

    def abandon(self) -> None:
        """Publish no more; something else went wrong."""
        self._stop.set()

    def _publish(self) -> None:
        numbers = np.random.default_rng(1)
        step = 0
        try:
            while not self._stop.wait(PAUSE_SECONDS):
                blocks = {name: Block(numbers.random(SHAPE, dtype=np.float32), (0, 0)) for name in ("u", "v")}
                self._stream.publish(step, time=float(step), blocks=blocks, diagnostics={"mean": float(step)})
                if (progress := self._stream.progress) is not None:
                    self.acknowledged = progress.acknowledged
                step += 1
            if (summary := self._stream.close()) is not None:
                self.acknowledged = summary.acknowledged
        except LockstreamError as error:
            self._failure = str(error)


class _Bench:
    """The scratch set-up: broker, archive and logs in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.servers = folder, ""
        self._archive, self._started = folder / "archive", 0

    @contextmanager
    def stream(self) -> Iterator[_Stream]:
        """A live stream; when the block ends, so does the run."""
        stream = _Stream(self.servers)
        try:
            yield stream
        except BaseException:
            stream.abandon()
            raise
        stream.close()

    def start_archiver(self, run: str, options: list[str] | None = None) -> Child:
        """Start ``lockstream archive follow`` with small segments."""
        sets = ["archive.segment_bytes=8000000", "archive.segment_seconds=0.5", *(options or [])]
        command = [sys.executable, "-m", "lockstream.cli", "archive", "follow", "--run", run]
        command += ["--archive", str(self._archive), *(word for item in sets for word in ("--set", item))]
        self._started += 1
        environment = os.environ | {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": self.servers}
        return Child("archiver", command, self.folder / f"archiver-{self._started}.log", environment)

    def kill_archiver(self, run: str, chance: random.Random, outcome: Outcome) -> None:
        """Start an archiver, kill it at a random moment, and note what it was in the middle of."""
        archiver = self.start_archiver(run)
        self.wait_for(lambda: archiver.log.stat().st_size > 0, "the archiver's first word")
        time.sleep(chance.uniform(0, LAST_MOMENT))
        was_running = archiver.exit_code is None
        archiver.kill()
        outcome.times += 1
        outcome.hits[self._left_behind(run) if was_running else "after its end"] += 1

    def settle(self, stream: _Stream, outcome: Outcome) -> None:
        """Let an archiver finish the run undisturbed, and verify it against Kafka."""
        self.wait_for_end(self.start_archiver(stream.run))
        folder = self._archive / stream.run
        verified = verify_run(folder)
        outcome.acknowledged += stream.acknowledged
        outcome.archived += verified.steps
        outcome.faults += [fault.what for fault in verified.faults]
        outcome.faults += [f.what for f in compare_with_kafka(folder, {"bootstrap.servers": self.servers})]

    def wait_for_end(self, archiver: Child) -> None:
        """Wait until an archiver has done its work."""
        self.wait_for(lambda: archiver.exit_code is not None, "the archiver's end")
        if archiver.exit_code:
            raise DrillFailed(
                f"the archiver ended with exit code {archiver.exit_code}: {archiver.log.read_text()}"
            )
        archiver.end()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, with a limit."""
        limit = time.monotonic() + END_SECONDS
        while not condition():
            if time.monotonic() > limit:
                raise DrillFailed(f"waited {END_SECONDS:.0f} s for {what}")
            time.sleep(0.05)

    def has_segments(self, run: str) -> bool:
        """Whether something is sealed."""
        return any((self._archive / run / SEGMENTS).glob("*.h5"))

    def _left_behind(self, run: str) -> str:
        folder = self._archive / run
        if (folder / (RUN_FILE + UNSEALED)).exists():
            return "while run.h5 was written"
        if any((folder / SEGMENTS).glob(f"*{UNSEALED}")):
            return "while a segment was written"
        return "between segments" if folder.exists() else "before its first look"
