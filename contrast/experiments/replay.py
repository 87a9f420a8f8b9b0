"""One asks again for the past."""

from lockstream.contrast.experiments.rounds import Value, conclude, span
from lockstream.contrast.experiments.sending import SENDER, to_send
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig

NBYTES = 4096
INTERVAL_SECONDS = 0.001
PATIENCE_SECONDS = 0.5
RECEIVED, DUE, AGAIN = (
    "messages received",
    "messages asked for again",
    "of them received again, byte for byte",
)
BY_OFFSET, BY_TIME = "asking by place until the first is here", "asking by time until the first is here"


def run(rig: Rig) -> Experiment:
    """Ask for what has been received already."""
    messages = 400 if rig.is_quick else 4000

    def measure() -> list[Outcome]:
        return [*_in_mpi(rig, messages), *_in_kafka(rig, messages)]

    return conclude(
        rig,
        measure,
        _say,
        name="replay",
        title="One asks again for the past",
        question="Can a receiver have again what it has received already?",
        method=(
            f"{messages} messages of 4 KiB are sent and received. In MPI the receiver then asks for one of them again "
            f"and waits {span(PATIENCE_SECONDS)}; in Kafka a reader asks for the second half, first by its place and "
            "then by its time, after the sender has ended."
        ),
    )


def _in_mpi(rig: Rig, messages: int) -> list[Outcome]:
    asked = {"messages": messages, "nbytes": NBYTES, "again": messages // 2, "patience": PATIENCE_SECONDS}
    found = rig.on_ranks(2, "experiments.programs.replay_mpi", asked)
    gone = "a message is gone when it is received"
    return [
        Outcome(subject="MPI", quantity=RECEIVED, value=found["received"], unit="messages"),
        Outcome(subject="MPI", quantity=DUE, value=1, unit="messages"),
        Outcome(subject="MPI", quantity=AGAIN, value=found["received_again"], unit="messages"),
        Outcome(subject="MPI", quantity=BY_OFFSET, value=None, unit="s", note=gone),
        Outcome(subject="MPI", quantity=BY_TIME, value=None, unit="s", note=gone),
    ]


def _in_kafka(rig: Rig, messages: int) -> list[Outcome]:
    with rig.topic() as topic:
        rig.alone(SENDER, to_send(rig, topic, messages, nbytes=NBYTES, interval=INTERVAL_SECONDS))
        asked = {"servers": rig.servers, "topic": topic, "messages": messages, "again": messages // 2}
        found = rig.alone("experiments.programs.replay_kafka", asked)
    ways = found["by_offset"], found["by_time"]
    due, same = (sum(way[what] for way in ways) for what in ("due", "same"))
    return [
        Outcome(subject="Kafka", quantity=RECEIVED, value=found["received"], unit="messages"),
        Outcome(subject="Kafka", quantity=DUE, value=due, unit="messages"),
        Outcome(subject="Kafka", quantity=AGAIN, value=same, unit="messages"),
        Outcome(subject="Kafka", quantity=BY_OFFSET, value=ways[0]["first"], unit="s"),
        Outcome(subject="Kafka", quantity=BY_TIME, value=ways[1]["first"], unit="s"),
    ]


def _say(value: Value) -> str:
    mpi, kafka = (
        f"{value(subject, AGAIN):.0f} of {value(subject, DUE):.0f} can be had again"
        for subject in ("MPI", "Kafka")
    )
    return (
        f"Of messages that were received already, {mpi} in MPI; in Kafka {kafka}, the first "
        f"{span(value('Kafka', BY_OFFSET))} after it was asked for by its place and "
        f"{span(value('Kafka', BY_TIME))} by its time."
    )
