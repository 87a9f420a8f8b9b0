"""The drill of the archiver: a paced live stream, an archiver that is killed, stopped and cut off, a verdict."""

import logging
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lockstream.bridge import Block, Field, StreamSettings, open_stream
from lockstream.bridge.errors import LockstreamError
from lockstream.cli.drill_bench import END_SECONDS, Bench, DrillFailed, Say, wait_for
from lockstream.kafka import broker as embedded
from lockstream.kafka.archive.layout import RUN_FILE, SEGMENTS, UNSEALED

SHAPE = (256, 512)  # a step of 1 MiB in two fields
PAUSE_SECONDS = 0.01  # between two steps
RUN_KILLS = 20  # kills per run, so that the merge at a run's end is hit often
MERGE_SHARE = 0.3  # of the kills fall on the end of a run
LAST_MOMENT = 0.9  # seconds after an archiver's first word at which it is killed at the latest
CLIENT_TIMEOUT = 6.0  # every time-out of the archiver's client, in the drill that stops it


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
    logging.getLogger("lockstream.bridge").setLevel(logging.ERROR)  # that Kafka is away is no news here
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
        wait_for(lambda: bench.has_segments(stream.run), "the first segment")
        archiver.signal(signal.SIGSTOP)
        time.sleep(pause)
        archiver.signal(signal.SIGCONT)
    bench.wait_for_archiver(archiver)
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
            wait_for(lambda: bench.has_segments(stream.run), "the first segment")
            os.kill(broker.pid, signal.SIGKILL)
            wait_for(lambda: embedded.status(folder).info is None, "the broker's end")
            embedded.start(folder)
            before = stream.acknowledged
            wait_for(lambda: stream.acknowledged > before, "an acknowledgement after the restart")
        bench.wait_for_archiver(archiver)
        bench.settle(stream, outcome)
    finally:
        embedded.stop(folder)
    return outcome


class _Stream:
    """Publishes random frames at a steady pace from a thread, until it is closed."""

    def __init__(self, servers: str, spool: Path) -> None:
        from mpi4py import MPI

        self.run, self.acknowledged = f"drill-{uuid.uuid4().hex[:12]}", 0
        self._stop, self._failure = threading.Event(), ""
        self._stream = open_stream(
            MPI.COMM_SELF,
            run=self.run,
            fields=[Field("u", SHAPE), Field("v", SHAPE)],
            kafka={"bootstrap.servers": servers, "reconnect.backoff.max.ms": 500},
            settings=StreamSettings(close_timeout=END_SECONDS, spool=str(spool)),
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


class _Bench(Bench):
    """With a stream, and an archiver that is killed."""

    @contextmanager
    def stream(self) -> Iterator[_Stream]:
        """A live stream; when the block ends, so does the run."""
        stream = _Stream(self.servers, self.folder / "spool")
        try:
            yield stream
        except BaseException:
            stream.abandon()
            raise
        stream.close()

    def kill_archiver(self, run: str, chance: random.Random, outcome: Outcome) -> None:
        """Start an archiver, kill it at a random moment, and note what it was in the middle of."""
        archiver = self.start_archiver(run)
        wait_for(lambda: archiver.log.stat().st_size > 0, "the archiver's first word")
        time.sleep(chance.uniform(0, LAST_MOMENT))
        was_running = archiver.exit_code is None
        archiver.kill()
        outcome.times += 1
        outcome.hits[self._left_behind(run) if was_running else "after its end"] += 1

    def settle(self, stream: _Stream, outcome: Outcome) -> None:
        """Let an archiver finish the run undisturbed, and verify it against Kafka."""
        self.wait_for_archiver(self.start_archiver(stream.run))
        verified, faults = self.verify(stream.run)
        outcome.acknowledged += stream.acknowledged
        outcome.archived += verified.steps
        outcome.faults += faults

    def _left_behind(self, run: str) -> str:
        folder = self.archive / run
        if (folder / (RUN_FILE + UNSEALED)).exists():
            return "while run.h5 was written"
        if any((folder / SEGMENTS).glob(f"*{UNSEALED}")):
            return "while a segment was written"
        return "between segments" if folder.exists() else "before its first look"
