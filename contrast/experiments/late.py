"""One comes when half of it is over."""

import bisect
import time
import uuid
from pathlib import Path
from typing import Any

from lockstream.contrast.experiments.rounds import Value, conclude, span
from lockstream.contrast.experiments.sending import RECEIVER, SENDER, to_receive, to_send
from lockstream.contrast.experiments.starting import await_ready
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import ProgramFailed, Rig, Running

RANKS = 2
INTERVAL_SECONDS = 0.005
LIMIT_SECONDS = 60.0
OVER, MISSED = "messages sent before it came", "messages it never got"
WORLD = "ranks in its own world"
STANDSTILL = "sender stands still for it"
CAUGHT_UP = "its start until it is up to date"


def run(rig: Rig) -> Experiment:
    """Let one join late."""
    messages = 500 if rig.is_quick else 2000

    def measure() -> list[Outcome]:
        return [*_in_mpi(rig, messages), *_in_kafka(rig, messages)]

    return conclude(
        rig,
        measure,
        _say,
        name="late-joiner",
        title="One joins late",
        question="What does a participant get that comes when half of the messages are sent, and what does it cost?",
        method=(
            f"{messages} messages. In MPI a job of {RANKS} ranks broadcasts half of them; another job is started then, "
            "and when it is there all call Comm_accept, and the rest is broadcast to all; in Kafka a sender sends one "
            f"every {span(INTERVAL_SECONDS)} and a reader is started half way."
        ),
    )


def _in_mpi(rig: Rig, messages: int) -> list[Outcome]:
    half, port = messages // 2, rig.folder / f"port-{uuid.uuid4().hex[:8]}"
    meeting = {"port": str(port), "guest": str(port.with_suffix(".guest"))}
    hosting = {"messages": messages, "joining": half, **meeting}
    with rig.beside("experiments.programs.host_mpi", hosting, RANKS) as host:
        _await_file(port, host)
        guest = rig.on_ranks(1, "experiments.programs.guest_mpi", {"last": messages - 1, **meeting})
        hosted = host.answer(LIMIT_SECONDS)
    return [
        Outcome(subject="MPI", quantity=OVER, value=half, unit="messages"),
        Outcome(subject="MPI", quantity=MISSED, value=messages - len(set(guest["numbers"])), unit="messages"),
        Outcome(subject="MPI", quantity=STANDSTILL, value=hosted["standstill"], unit="s"),
        Outcome(subject="MPI", quantity=WORLD, value=guest["world"], unit="ranks"),
        Outcome(
            subject="MPI",
            quantity=CAUGHT_UP,
            value=None,
            unit="s",
            note="what was sent before it came is gone: it can only be sent again by who still has it",
        ),
    ]


def _in_kafka(rig: Rig, messages: int) -> list[Outcome]:
    with (
        rig.topic() as topic,
        rig.beside(SENDER, to_send(rig, topic, messages, interval=INTERVAL_SECONDS)) as sender,
    ):
        await_ready(sender)
        time.sleep(messages / 2 * INTERVAL_SECONDS)
        joined = time.monotonic()
        read = rig.alone(RECEIVER, to_receive(rig, topic, messages))
        sent = sender.answer(LIMIT_SECONDS)
    over = bisect.bisect_right(sent["sent"], joined)
    return [
        Outcome(subject="Kafka", quantity=OVER, value=over, unit="messages"),
        Outcome(
            subject="Kafka", quantity=MISSED, value=messages - len(set(read["numbers"])), unit="messages"
        ),
        Outcome(subject="Kafka", quantity=STANDSTILL, value=max(sent["calls"]), unit="s"),
        Outcome(subject="Kafka", quantity=CAUGHT_UP, value=_caught_up(read, sent["sent"]) - joined, unit="s"),
    ]


def _caught_up(read: dict[str, Any], sent: list[float]) -> float:
    """Return when the reader had all that was sent until then."""
    return float(
        next(at for count, at in enumerate(read["at"], start=1) if count >= bisect.bisect_right(sent, at))
    )


def _await_file(path: Path, by: Running) -> None:
    limit = time.monotonic() + LIMIT_SECONDS
    while not path.exists():
        if by.child.exit_code is not None:
            by.answer(0)
        if time.monotonic() > limit:
            raise ProgramFailed(f"{by.child.name} did not write {path} within {LIMIT_SECONDS:.0f} s")
        time.sleep(0.01)


def _say(value: Value) -> str:
    return (
        f"Who comes after {value('MPI', OVER):.0f} messages in MPI is alone in a world of {value('MPI', WORLD):.0f}; "
        f"let in by all ranks, which stand still for {span(value('MPI', STANDSTILL))}, it never gets "
        f"{value('MPI', MISSED):.0f} of them; in Kafka it comes after {value('Kafka', OVER):.0f}, never gets "
        f"{value('Kafka', MISSED):.0f} and is up to date after {span(value('Kafka', CAUGHT_UP))}, and no call of the "
        f"sender takes longer than {span(value('Kafka', STANDSTILL))}."
    )
