"""The scratch set-up of the bridge's drill: a broker that can die, a relay before it, runs and their archives."""

import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from lockstream.cli import drill_processes as processes
from lockstream.cli.bridge_log import RunLog, read_log
from lockstream.cli.bridge_report import Row
from lockstream.cli.bridge_run import MAX_STALL, SimulatedRun
from lockstream.cli.drill_bench import Bench, DrillFailed, Say, wait_for
from lockstream.cli.relay import Relay
from lockstream.kafka import broker as embedded
from lockstream.kafka.broker.ports import LOOPBACK, free_port
from lockstream.kafka.children import Child

MARGIN_SECONDS = 120.0  # beyond what a run should take


class ScratchBroker:
    """A broker that can be killed and started again on the same port.

    Parameters
    ----------
    folder
        Its data.
    detour
        A way to it through a relay.
    """

    def __init__(self, folder: Path, detour: embedded.Detour) -> None:
        self._folder, self._detour = folder, detour
        self._held = ExitStack()
        self._info: embedded.BrokerInfo | None = None
        self._port = 0

    def start(self) -> str:
        """Start it if it does not run; return its address."""
        if self._info is None:
            context = embedded.embedded_broker(self._folder, port=self._port, detour=self._detour)
            self._info = self._held.enter_context(context)
            self._port = self._info.port
        return self._info.bootstrap_servers

    def kill(self) -> None:
        """SIGKILL it."""
        self._signal(signal.SIGKILL)
        self.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP it for the time of a block."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        self._info = None
        self._held.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._info is not None:
            os.kill(self._info.pid, number)


class BridgeBench(Bench):
    """All that the faults need; a context manager that leaves no process behind.

    Parameters
    ----------
    folder
        Gets everything.
    outage
        Seconds for which something is away.
    seed
        Of the runs' initial state and of random moments.
    say
        Told about the progress.
    """

    def __init__(self, folder: Path, outage: float, seed: int, say: Say) -> None:
        super().__init__(folder.absolute())
        self.outage, self.seed, self.say = outage, seed, say
        self.chance = random.Random(seed)  # noqa: S311 - moments, not secrets
        self.every = 1
        self._mark = str(self.folder)
        self._reference: RunLog | None = None
        self._archivers_at_work: list[Child] = []
        port = free_port()
        self.relay = Relay(port)
        self.broker = ScratchBroker(self.folder / "broker", embedded.Detour(self.relay.port, port))
        self._held = ExitStack()

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the user's own configuration; and the mark."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKSTREAM_")}
        ours = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": self.servers, "PYTHONUNBUFFERED": "1"}
        return kept | ours | {processes.MARK: self._mark}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.broker.close)
            stack.enter_context(self.relay)
            stack.callback(lambda: processes.end_all(self._mark))
            self.servers = self.broker.start()
            self._held = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def open_run(
        self, name: str, frames: int, tables: Mapping[str, object], *, is_relayed: bool
    ) -> SimulatedRun:
        """Prepare a run.

        Parameters
        ----------
        name
            Its id begins so.
        frames
            Steps to publish.
        tables
            More of its configuration, ``table.key`` to value in TOML's notation.
        is_relayed
            Whether it reaches the broker through the relay.
        """
        defaults = {"run.seed": self.seed, "stream.close_timeout": self.outage + MARGIN_SECONDS}
        servers = f"{LOOPBACK}:{self.relay.port}" if is_relayed else self.servers
        environment = self.environment | {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": servers}
        run = f"{name}-{uuid.uuid4().hex[:8]}"
        return SimulatedRun(self.folder, run, self.every, frames, environment, defaults | dict(tables))

    def follow(self, run: SimulatedRun) -> None:
        """Archive the run beside it."""
        self._archivers_at_work.append(self.start_archiver(run.run))

    def finish(self, run: SimulatedRun) -> int:
        """Wait for the end of an attempt; return its exit code."""
        return run.wait_for_end(self.outage + 2 * MARGIN_SECONDS + len(run.steps))

    def drain(self, run: SimulatedRun) -> None:
        """Deliver what the run has left in its spool."""
        folder = self.folder / "spool" / run.run
        command = [sys.executable, "-m", "lockstream.cli", "spool", "drain", str(folder)]
        drain = Child("drain", command, self.folder / f"{run.run}-drain.log", self.environment)
        wait_for(lambda: drain.exit_code is not None, "the end of 'lockstream spool drain'")
        if drain.exit_code:
            raise DrillFailed(
                f"'lockstream spool drain' ended with {drain.exit_code}: {drain.log.read_text()}"
            )
        drain.end()

    def sleep(self) -> None:
        """Let the outage last."""
        time.sleep(self.outage)

    def restore(self) -> None:
        """Have everything as before a fault, whatever became of it."""
        processes.end_all(self._mark)
        self._archivers_at_work.clear()
        self.relay.heal()
        self.servers = self.broker.start()

    def settle(self, run: SimulatedRun, is_complete: bool) -> Row:
        """Let an archiver finish the run, verify it, and compare it with the first run that was settled.

        Parameters
        ----------
        run
            A run that has ended.
        is_complete
            Whether all steps must be there, or only those that were accepted.
        """
        while self._archivers_at_work:
            self._archivers_at_work.pop().end()
        self.wait_for_archiver(self.start_archiver(run.run))
        verified, problems = self.verify(run.run)
        log = read_log(self.archive / run.run)
        self._reference = self._reference or log
        counts, counted = run.counts(), run.counted
        expected = set(run.steps if is_complete or counted is None else run.steps[: counted.accepted])
        problems += log.shortfalls(counts)
        return Row(
            exit_codes=run.exit_codes,
            counted=counted,
            archived=verified.steps,
            gaps=len(verified.gaps),
            superseded=log.superseded,
            lost=len(expected - set(log.digests) - set(verified.gaps)),
            max_stall=MAX_STALL,
            likeness=log.likeness(self._reference),
            is_on_other_ranks=len(set(run.ranks)) > 1,
            problems=problems,
        )
