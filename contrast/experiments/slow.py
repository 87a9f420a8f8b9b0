"""One of four participants is ten times slower than the others."""

import bisect
import itertools
import statistics
from contextlib import ExitStack
from typing import Any

from lockstream.contrast.experiments.rounds import Value, conclude, span
from lockstream.contrast.experiments.sending import RECEIVER, SENDER, to_receive, to_send
from lockstream.contrast.experiments.starting import await_ready
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig

FAST_SECONDS, SLOW_SECONDS = 0.01, 0.1
INTERVAL_SECONDS = 0.012  # between two messages: the fast ones just keep up with it, the slow one does not
PARTICIPANTS = 4
ALIKE, SLOW = "time per step of the others, all alike", "time per step of the others, one slow"
SLOWDOWN = "slowdown of the others"
WAITING = "of it waiting for the slow one"
LAG, LAG_OF_OTHERS = "lag of the slow one when the last message is sent", "lag of the others then"
CALL = "longest call of the sender"


def run(rig: Rig) -> Experiment:
    """Compare the time of those that are not slow."""
    steps = 20 if rig.is_quick else 100

    def measure() -> list[Outcome]:
        return [*_in_mpi(rig, steps), *_in_kafka(rig, steps)]

    return conclude(
        rig,
        measure,
        _say,
        name="slow-participant",
        title="One is slow",
        question="One of four participants needs ten times as long as the others: who waits?",
        method=(
            f"{steps} steps. In MPI four ranks work on a step for {span(FAST_SECONDS)}, one of them for "
            f"{span(SLOW_SECONDS)}, and meet in an Allreduce; in Kafka a sender sends a message every "
            f"{span(INTERVAL_SECONDS)} to four readers that work on each as long as the ranks do. Both are done "
            "first with nobody slow."
        ),
    )


def _in_mpi(rig: Rig, steps: int) -> list[Outcome]:
    found = {}
    for last in (FAST_SECONDS, SLOW_SECONDS):
        work = [FAST_SECONDS] * (PARTICIPANTS - 1) + [last]
        task = {"steps": steps, "work": work, "journals": str(rig.folder), "victim": -1, "dies_at": -1}
        found[last] = rig.on_ranks(PARTICIPANTS, "experiments.programs.steps_mpi", task)
    alike, slow = (statistics.fmean(answer["steps"][:-1]) for answer in found.values())
    waiting = statistics.fmean(found[SLOW_SECONDS]["waits"][:-1])
    return [
        Outcome(subject="MPI", quantity=ALIKE, value=alike, unit="s"),
        Outcome(subject="MPI", quantity=SLOW, value=slow, unit="s"),
        Outcome(subject="MPI", quantity=SLOWDOWN, value=slow / alike, unit=""),
        Outcome(subject="MPI", quantity=WAITING, value=waiting, unit="s"),
    ]


def _in_kafka(rig: Rig, steps: int) -> list[Outcome]:
    alike, _ = _sent_and_read(rig, steps, FAST_SECONDS)
    slow, sent = _sent_and_read(rig, steps, SLOW_SECONDS)
    *others, laggard = (steps - bisect.bisect_right(answer["at"], sent["ended"]) for answer in slow)
    return [
        Outcome(subject="Kafka", quantity=ALIKE, value=_pace(alike), unit="s"),
        Outcome(subject="Kafka", quantity=SLOW, value=_pace(slow), unit="s"),
        Outcome(subject="Kafka", quantity=SLOWDOWN, value=_pace(slow) / _pace(alike), unit=""),
        Outcome(subject="Kafka", quantity=CALL, value=max(sent["calls"]), unit="s"),
        Outcome(subject="Kafka", quantity=LAG, value=laggard, unit="messages"),
        Outcome(subject="Kafka", quantity=LAG_OF_OTHERS, value=max(others), unit="messages"),
    ]


def _sent_and_read(rig: Rig, steps: int, last: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what the readers answered, the one that may be slow last, and what the sender did."""
    with rig.topic() as topic, ExitStack() as stack:
        readers = [
            stack.enter_context(rig.beside(RECEIVER, to_receive(rig, topic, steps, work=work)))
            for work in [FAST_SECONDS] * (PARTICIPANTS - 1) + [last]
        ]
        await_ready(*readers)
        sent = rig.alone(SENDER, to_send(rig, topic, steps, interval=INTERVAL_SECONDS))
        return [reader.answer(60 + steps * last) for reader in readers], sent


def _pace(readers: list[dict[str, Any]]) -> float:
    """Time per message of those that are not slow."""
    return statistics.fmean(
        statistics.median(after - before for before, after in itertools.pairwise(answer["at"]))
        for answer in readers[:-1]
    )


def _say(value: Value) -> str:
    return (
        f"With one slow participant the others need {value('MPI', SLOWDOWN):.1f} times as long per step in MPI, "
        f"{span(value('MPI', WAITING))} of {span(value('MPI', SLOW))} waiting, and {value('Kafka', SLOWDOWN):.1f} "
        f"times as long in Kafka, where the slow one has fallen {value('Kafka', LAG):.0f} messages behind and the "
        f"others {value('Kafka', LAG_OF_OTHERS):.0f}."
    )
