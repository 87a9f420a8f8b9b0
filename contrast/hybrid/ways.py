"""The three ways, started and watched from outside: what an operator can do to a workflow, the same for each."""

import time
import uuid
from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import ClassVar, Self

import msgspec

from lockstream.bridge.client import admin_client
from lockstream.bridge.errors import LockstreamError
from lockstream.bridge.messages import run_topic
from lockstream.contrast.hybrid.analysis import Result
from lockstream.contrast.hybrid.journal import read_journal
from lockstream.contrast.hybrid.task import READY_SECONDS, Published, Simulated, Task
from lockstream.contrast.hybrid.workflow import Plan
from lockstream.contrast.rig import ProgramFailed, Rig, Running

RUN_SECONDS = 120.0
_LOOK_SECONDS = 0.005
_GUEST = "guest.jsonl"


class WorkflowStuck(LockstreamError):
    """A workflow did not come to where it has to come."""


class Way(ABC):
    """One run of the workflow in one way; a context manager that leaves nothing running.

    Parameters
    ----------
    rig
        Where.
    plan
        What.
    """

    name: ClassVar[str]

    def __init__(self, rig: Rig, plan: Plan) -> None:
        self._rig, self._plan, self._stack = rig, plan, ExitStack()
        self._run = f"{type(self).__name__.lower()}-{uuid.uuid4().hex[:12]}"
        folder = rig.folder / self._run
        folder.mkdir()
        self._task = Task(plan=plan, folder=str(folder), servers=rig.servers, run=self._run)
        self._simulation: list[Running] = []
        self._analysis: list[Running] = []

    @abstractmethod
    def _begin(self) -> None:
        """Start simulation and analysis."""

    @abstractmethod
    def repair(self) -> None:
        """Have the frames analysed that a killed analysis has left: do what is least."""

    @abstractmethod
    def join(self) -> None:
        """Have one more analysis, now."""

    def simulated(self) -> Simulated:
        """Wait for the end of the simulation.

        Raises
        ------
        ProgramFailed
            If it does not come to its own end.
        """
        answers = [msgspec.convert(running.answer(RUN_SECONDS), Simulated) for running in self._simulation]
        return Simulated(
            began=max(answer.began for answer in answers), ended=max(answer.ended for answer in answers)
        )

    def outlives(self) -> bool:
        """Wait for the end of the simulation, and tell whether it has come to its own end.

        Raises
        ------
        ProgramFailed
            If it hangs: that is no end.
        """
        try:
            self.simulated()
        except ProgramFailed:
            if any(running.child.exit_code is None for running in self._simulation):
                raise
            return False
        return True

    def analysed(self) -> int | None:
        """Wait for the end of the analyses; the exit code of the first one that ended badly, None if none did.

        An analysis that is a rank ends with its simulation, see `simulated`.
        """
        codes = [running.child.wait(RUN_SECONDS) for running in self._analysis]
        if None in codes:
            raise WorkflowStuck(f"{self.name}: an analysis did not end within {RUN_SECONDS:g} s")
        return next((code for code in codes if code), None)

    @property
    def results(self) -> list[Result]:
        """What the analysis has found until now."""
        return read_journal(self._task.results_path, Result)

    @property
    def guest_results(self) -> list[Result]:
        """What the analysis has found that joined."""
        return read_journal(self._guest.results_path, Result)

    @property
    def published(self) -> list[Published]:
        """Which frames the simulation has handed over until now; step 0 is its begin."""
        return read_journal(self._task.published_path, Published)

    def wait_for_results(self, count: int) -> None:
        """Wait until there are so many results.

        Raises
        ------
        WorkflowStuck
            If that takes too long.
        """
        limit = time.monotonic() + RUN_SECONDS
        while len(self.results) < count:
            if time.monotonic() > limit:
                raise WorkflowStuck(
                    f"{self.name}: {len(self.results)} of {count} results after {RUN_SECONDS:g} s"
                )
            time.sleep(_LOOK_SECONDS)

    @property
    def _guest(self) -> Task:
        plan = msgspec.structs.replace(self._plan, analysis_seconds=0.0, crash_at=0)
        return msgspec.structs.replace(self._task, plan=plan, results=_GUEST)

    @property
    def _unharmed(self) -> Task:
        return msgspec.structs.replace(self._task, plan=msgspec.structs.replace(self._plan, crash_at=0))

    def _start(self, program: str, task: Task, ranks: int = 0) -> Running:
        asked = msgspec.to_builtins(task)
        return self._stack.enter_context(self._rig.beside(f"hybrid.{program}", asked, ranks))

    def _start_analyst(self, program: str, task: Task) -> None:
        """Start an analysis that is a process of its own, and wait until it is there."""
        running = self._start(program, task)
        limit = time.monotonic() + READY_SECONDS
        while not task.results_path.exists():
            if running.child.exit_code is not None or time.monotonic() > limit:
                running.answer(0)
            time.sleep(_LOOK_SECONDS)
        self._analysis.append(running)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.push(self._stack)
            self._begin()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class AllMpi(Way):
    """Workers and analysis are the ranks of one job."""

    name = "all MPI"

    def _begin(self) -> None:
        self._simulation = [self._start("all_mpi", self._task, self._plan.workers + 1)]

    def repair(self) -> None:
        """Do everything again: the job is gone, and nothing of it was kept but results."""
        for path in (self._task.results_path, self._task.published_path):
            path.unlink()
        self._simulation = [self._start("all_mpi", self._unharmed, self._plan.workers + 1)]

    def join(self) -> None:
        """Ask the job for it."""
        unfinished = self._task.join_path.with_suffix(".new")
        unfinished.write_bytes(msgspec.json.encode(self._guest))
        unfinished.rename(self._task.join_path)


class AllKafka(Way):
    """Workers and analysis are processes, with topics between them."""

    name = "all Kafka"

    def _begin(self) -> None:
        workers = self._plan.workers
        topics = {
            "halo_topic": self._stack.enter_context(self._rig.topic(workers)),
            "frame_topic": self._stack.enter_context(self._rig.topic()),
        }
        self._task = msgspec.structs.replace(self._task, **topics)
        self._start_analyst("all_kafka_analyst", self._task)
        for worker in range(workers):
            part = msgspec.structs.replace(self._task, worker=worker)
            self._simulation.append(self._start("all_kafka_worker", part))

    def repair(self) -> None:
        """Start the analysis again."""
        self._analysis.clear()
        self._start_analyst("all_kafka_analyst", self._unharmed)

    def join(self) -> None:
        """Start one more."""
        self._start_analyst("all_kafka_analyst", self._guest)


class Bridge(Way):
    """Workers are the ranks of a job, the analysis is a process that reads the job's topic."""

    name = "bridge"

    def _begin(self) -> None:
        self._stack.callback(self._forget_run)
        self._start_analyst("bridge_analyst", self._task)
        self._simulation = [self._start("bridge_job", self._task, self._plan.workers)]

    def repair(self) -> None:
        """Start the analysis again."""
        self._analysis.clear()
        self._start_analyst("bridge_analyst", self._unharmed)

    def join(self) -> None:
        """Start one more."""
        self._start_analyst("bridge_analyst", self._guest)

    def _forget_run(self) -> None:
        """Take the run's topic away, if it came to be there."""
        admin, topic = admin_client({"bootstrap.servers": self._rig.servers}), run_topic(self._run)
        if topic in admin.list_topics(timeout=30).topics:
            admin.delete_topics([topic], operation_timeout=30)[topic].result(60)


WAYS: tuple[type[Way], ...] = (AllMpi, AllKafka, Bridge)
