"""What every measurement stands on: a broker, topics of its own, and programs that are started and surely end."""

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lockstream.bridge.errors import LockstreamError
from lockstream.kafka.children import Child
from lockstream.mpi_jobs.hardware import usable_cores
from lockstream.mpi_jobs.launch import launched_tasks, mpi_world, mpirun_command

if TYPE_CHECKING:
    from mpi4py import MPI

LISTEN_SECONDS = 0.2
_YIELD = {
    "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "1",  # MPICH
    "OMPI_MCA_mpi_yield_when_idle": "1",  # Open MPI
}


class ProgramFailed(LockstreamError):
    """A program of the lab ended with an error, or not at all; the text shows the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A place to measure in.

    Parameters
    ----------
    folder
        For logs and results of programs; exists.
    servers
        Of a Kafka with one broker.
    broker_pid
        Its process, on this machine.
    is_quick
        Whether a rough answer will do.
    """

    folder: Path
    servers: str
    broker_pid: int
    is_quick: bool

    @contextmanager
    def topic(self, partitions: int = 1, **settings: str) -> Iterator[str]:
        """Lend a topic with one replica; `settings` as Kafka names them, with _ for the dots."""
        with lent_topic(self.servers, partitions, **settings) as name:
            yield name

    def on_ranks(
        self,
        ranks: int,
        program: str,
        arguments: Mapping[str, Any],
        timeout: float = 120,
        hear: Callable[[str], None] = lambda _: None,
    ) -> Any:
        """Run ``lockstream.contrast.PROGRAM`` under mpirun and return what rank 0 answered.

        `hear` gets the lines that it prints meanwhile.
        """
        return self._answer(ranks, program, arguments, timeout, hear)

    def alone(self, program: str, arguments: Mapping[str, Any], timeout: float = 120) -> Any:
        """Run ``lockstream.contrast.PROGRAM`` as one process and return what it answered."""
        return self._answer(0, program, arguments, timeout)

    @contextmanager
    def beside(self, program: str, arguments: Mapping[str, Any], ranks: int = 0) -> Iterator["Running"]:
        """Have a program run during a ``with`` block, on ranks or (0) as one process; it is ended with the block."""
        running = self._start(ranks, program, arguments)
        try:
            yield running
        finally:
            running.child.end()

    def _answer(
        self,
        ranks: int,
        program: str,
        arguments: Mapping[str, Any],
        timeout: float,
        hear: Callable[[str], None] = lambda _: None,
    ) -> Any:
        running = self._start(ranks, program, arguments)
        try:
            return running.answer(timeout, hear)
        finally:
            running.child.end()

    def _start(self, ranks: int, program: str, arguments: Mapping[str, Any]) -> "Running":
        name = f"{program}-{uuid.uuid4().hex[:8]}"
        asked, answer = self.folder / f"{name}.asked.json", self.folder / f"{name}.answer.json"
        asked.write_bytes(msgspec.json.encode(dict(arguments)))
        python = [sys.executable, "-m", f"lockstream.contrast.{program}"]
        command = [*(mpirun_command(ranks) if ranks else []), *python, str(asked), str(answer)]
        return Running(Child(name, command, self.folder / f"{name}.log", _environment(ranks)), answer)


@contextmanager
def lent_topic(servers: str, partitions: int = 1, **settings: str) -> Iterator[str]:
    """Lend a topic, for programs that know of a Kafka alone; see `Rig.topic`."""
    from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

    from lockstream.bridge.client import admin_client

    name = f"contrast.{uuid.uuid4().hex[:12]}"
    admin = admin_client({"bootstrap.servers": servers})
    config = {key.replace("_", "."): value for key, value in settings.items()}
    new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config)
    admin.create_topics([new], operation_timeout=30)[name].result(60)
    try:
        yield name
    finally:
        admin.delete_topics([name], operation_timeout=30)[name].result(60)


class Running:
    """A program of the lab that runs."""

    def __init__(self, child: Child, answer: Path) -> None:
        self.child, self._answer = child, answer

    def answer(self, timeout: float, hear: Callable[[str], None] = lambda _: None) -> Any:
        """Wait for its end and return what it answered; `hear` gets the lines that it prints meanwhile.

        Raises
        ------
        ProgramFailed
            It ended with an error, or did not end.
        """
        limit = time.monotonic() + timeout
        code = self.child.exit_code
        while code is None and time.monotonic() < limit:
            code = self.child.wait(LISTEN_SECONDS)
            for line in self.child.new_lines():
                hear(line)
        if code == 0:
            return msgspec.json.decode(self._answer.read_bytes())
        tail = "\n  ".join(self.child.log.read_text(errors="replace").splitlines()[-15:])
        how = f"did not end within {timeout:.0f} s" if code is None else f"ended with exit code {code}"
        raise ProgramFailed(f"{self.child.name} {how}; {self.child.log} ends with\n  {tail}")


def asked() -> dict[str, Any]:
    """Return what a program of the lab was asked."""
    return dict(msgspec.json.decode(Path(sys.argv[1]).read_bytes()))


def reply(answer: Any) -> None:
    """Give a program's answer; on ranks, by rank 0 alone."""
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(answer))


@contextmanager
def world(*, has_company: bool = False) -> Iterator["MPI.Intracomm"]:
    """Lend the ranks of a program of the lab; see `mpi_world`.

    Where there are more ranks than cores, or others at work beside as many (`has_company`), they must yield their cores
    while they wait. Else a waiting one keeps the core until its slice is over, and what takes microseconds takes
    milliseconds. MPICH yields only with thread level "multiple".
    """
    ranks, _ = launched_tasks(os.environ)
    with mpi_world("multiple" if ranks + has_company > usable_cores() else "funneled") as comm:
        yield comm


def unname_shared_memory() -> None:
    """Take away the name of the memory that the ranks share: MPICH would at its end, and who is killed has none.

    All ranks have it open and none needs the name any more.
    """
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        mapped = Path(line.rpartition(" ")[2])
        if mapped.name.startswith("mpich_shm_"):
            mapped.unlink(missing_ok=True)


def crowd(ranks: int) -> str:
    """Return what has to be known of figures that were taken with so many ranks; nothing if each has a core."""
    cores = usable_cores()
    return f"{ranks} ranks on {cores} cores take turns" if ranks > cores else ""


def _environment(ranks: int) -> dict[str, str]:
    return {**(_YIELD if ranks >= usable_cores() else {}), **os.environ}
