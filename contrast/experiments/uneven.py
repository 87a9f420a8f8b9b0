"""Independent tasks of uneven length, as in high-throughput computing."""

import time
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lockstream.contrast.experiments.journal import noted
from lockstream.contrast.experiments.programs.tasks import task_message
from lockstream.contrast.experiments.rounds import Value, conclude, span
from lockstream.contrast.experiments.starting import await_ready
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import ProgramFailed, Rig, Running

if TYPE_CHECKING:
    from confluent_kafka import Producer

WORKERS = 4
LIMIT_SECONDS = 90.0
LOOK_SECONDS = 0.02
GREETING_SECONDS = 0.05  # who greets is busy for so long, so that the next greeting goes to another one
MAKESPAN, EFFICIENCY, DONE = "until the last task is done", "efficiency", "tasks done"
SHARES, SERVED, GROUP, QUEUE = "MPI shares", "MPI handed out", "Kafka consumer group", "Kafka share group"


def run(rig: Rig) -> Experiment:
    """Race four ways of giving tasks to four workers."""
    tasks = _lengths(64, total=6.0) if rig.is_quick else _lengths(128, total=24.0)
    best = max(sum(tasks) / WORKERS, max(tasks))

    def measure() -> list[Outcome]:
        return [
            *_in_mpi(rig, tasks, SHARES, "shares", WORKERS),
            *_in_mpi(rig, tasks, SERVED, "handed out", WORKERS + 1),
            *_in_group(rig, tasks),
            *_in_queue(rig, tasks),
        ]

    def say(value: Value) -> str:
        times = {way: value(way, MAKESPAN) for way in (SHARES, SERVED, GROUP, QUEUE)}
        order = sorted(times, key=lambda way: times[way])
        listed = ", ".join(f"{way} {span(times[way])} ({value(way, EFFICIENCY):.0%})" for way in order)
        return f"From the fastest to the slowest, against {span(best)} at best: {listed}."

    return conclude(
        rig,
        measure,
        say,
        name="uneven-tasks",
        title="Uneven tasks",
        question="How soon are independent tasks of uneven length done by four workers?",
        method=(
            f"{len(tasks)} tasks of {span(min(tasks))} to {span(max(tasks))}, {span(sum(tasks))} together, each a wait "
            "that needs no processor. MPI scatters equal parts, or a fifth rank hands out one task at a time; in Kafka "
            "a consumer group shares four partitions that are filled in turn, and a share group takes single messages "
            "of one partition. Efficiency is all tasks' time over that of four workers until the last task is done."
        ),
    )


def _lengths(count: int, total: float) -> list[float]:
    """Return lengths of tasks, in seconds: most are short, a few are long; the same ones in every run."""
    lengths = np.random.default_rng(932).lognormal(sigma=0.8, size=count)
    return [float(length) for length in lengths * total / lengths.sum()]


def _in_mpi(rig: Rig, tasks: list[float], subject: str, way: str, ranks: int) -> list[Outcome]:
    journals = _folder(rig)
    asked = {"tasks": tasks, "way": way, "journals": str(journals)}
    began = rig.on_ranks(ranks, "experiments.programs.tasks_mpi", asked)["began"]
    return _outcomes(subject, tasks, began, _done(journals))


def _in_group(rig: Rig, tasks: list[float]) -> list[Outcome]:
    journals = _folder(rig)
    with rig.topic(WORKERS) as topic, ExitStack() as stack:
        asked = {
            "servers": rig.servers,
            "topic": topic,
            "group": topic,
            "share": 1,
            "journals": str(journals),
        }
        workers = _workers(rig, stack, "experiments.programs.tasks_group", asked)
        await_ready(*workers)
        began = _hand_out(_producer(rig), topic, tasks, WORKERS)
        done = _await_done(journals, len(tasks), workers)
    return _outcomes(GROUP, tasks, began, done)


def _in_queue(rig: Rig, tasks: list[float]) -> list[Outcome]:
    journals = _folder(rig)
    with rig.topic() as topic, ExitStack() as stack:
        asked = {"servers": rig.servers, "topic": topic, "group": topic, "journals": str(journals)}
        workers = _workers(rig, stack, "experiments.programs.tasks_queue", asked)
        producer = _producer(rig)
        _greet(producer, topic, journals, workers)
        began = _hand_out(producer, topic, tasks, 1)
        done = _await_done(journals, len(tasks), workers)
    return _outcomes(QUEUE, tasks, began, done)


def _outcomes(subject: str, tasks: list[float], began: float, done: dict[int, float]) -> list[Outcome]:
    makespan = max(done.values()) - began
    return [
        Outcome(subject=subject, quantity=MAKESPAN, value=makespan, unit="s"),
        Outcome(subject=subject, quantity=EFFICIENCY, value=sum(tasks) / (WORKERS * makespan), unit=""),
        Outcome(subject=subject, quantity=DONE, value=len(done), unit="tasks"),
    ]


def _folder(rig: Rig) -> Path:
    folder = rig.folder / f"tasks-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    return folder


def _workers(rig: Rig, stack: ExitStack, program: str, asked: Mapping[str, Any]) -> list[Running]:
    return [
        stack.enter_context(rig.beside(program, {**asked, "name": f"{number}"})) for number in range(WORKERS)
    ]


def _producer(rig: Rig) -> "Producer":
    from confluent_kafka import Producer

    from lockstream.bridge.client import client_config

    return Producer(client_config({"bootstrap.servers": rig.servers}, batch_num_messages=1))


def _hand_out(producer: "Producer", topic: str, tasks: list[float], partitions: int) -> float:
    """Send all tasks; return when that began."""
    began = time.monotonic()
    for number, seconds in enumerate(tasks):
        producer.produce(topic, task_message(number, seconds), partition=number % partitions)
    producer.flush(LIMIT_SECONDS)
    return began


def _greet(producer: "Producer", topic: str, journals: Path, workers: list[Running]) -> None:
    """Send greetings until every worker has had one: a share group does not tell its members who else is there.

    The first ones may have been sent before there was a group, and are then not for it.
    """
    limit, greetings = time.monotonic() + LIMIT_SECONDS, 0
    while len(_greeted(journals)) < WORKERS:
        _check(workers, limit, "had a first message")
        greetings += 1
        producer.produce(topic, task_message(-greetings, GREETING_SECONDS), partition=0)
        producer.flush(LIMIT_SECONDS)
        time.sleep(LOOK_SECONDS)
    while -greetings not in _notes(journals):
        _check(workers, limit, "answered the last greeting")
        time.sleep(LOOK_SECONDS)


def _await_done(journals: Path, count: int, workers: list[Running]) -> dict[int, float]:
    limit = time.monotonic() + LIMIT_SECONDS
    while len(done := _done(journals)) < count:
        _check(workers, limit, f"done {count} tasks")
        time.sleep(LOOK_SECONDS)
    return done


def _check(workers: list[Running], limit: float, what: str) -> None:
    for worker in workers:
        if worker.child.exit_code is not None:
            worker.answer(0)
    if time.monotonic() > limit:
        raise ProgramFailed(f"{WORKERS} workers have not {what} within {LIMIT_SECONDS:.0f} s")


def _notes(journals: Path) -> dict[int, float]:
    """Return what is done, and when for the first time."""
    return dict(sorted((note for path in journals.iterdir() for note in noted(path)), key=lambda n: -n[1]))


def _done(journals: Path) -> dict[int, float]:
    return {number: at for number, at in _notes(journals).items() if number >= 0}


def _greeted(journals: Path) -> list[Path]:
    return [path for path in journals.iterdir() if noted(path)]
