"""A sender whose receiver is not there."""

import statistics

from lockstream.contrast.experiments.rounds import Value, conclude, span
from lockstream.contrast.experiments.sending import RECEIVER, SENDER, to_receive, to_send
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig

SMALL, LARGE = 1 << 10, 4 << 20
SIZES = tuple(SMALL << 3 * n for n in range(5))  # 1 KiB to 4 MiB
LATE_SECONDS = 0.5
MESSAGES, APART_SECONDS = 10, 0.1  # so that none waits for another
TO_SEND_SMALL, TO_SEND_LARGE = "sender's time for 1 KiB", "sender's time for 4 MiB"
UNTIL_KEPT = "until 4 MiB are acknowledged"
BUFFERED = "largest of the messages tried that did not wait for the receiver"
RECEIVED = "messages received by who came after the sender's end"


def run(rig: Rig) -> Experiment:
    """Measure sends to nobody."""

    def measure() -> list[Outcome]:
        return [*_in_mpi(rig), *_in_kafka(rig)]

    return conclude(
        rig,
        measure,
        _say,
        name="coupling-in-time",
        title="Nobody is there yet",
        question="What does a sender notice of a receiver that is not there?",
        method=(
            f"In MPI a rank sends 1 KiB to 4 MiB to another one that begins to receive {span(LATE_SECONDS)} later; in "
            f"Kafka a sender sends {MESSAGES} messages of 1 KiB and of 4 MiB while nobody reads, and ends; then "
            "somebody does."
        ),
    )


def _in_mpi(rig: Rig) -> list[Outcome]:
    asked = {"sizes": SIZES, "late": LATE_SECONDS}
    seconds = rig.on_ranks(2, "experiments.programs.coupling_mpi", asked)["seconds"]
    # One that waited cannot be back before the other is; half of that is far from both.
    buffered = [size for size, took in zip(SIZES, seconds, strict=True) if took < LATE_SECONDS / 2]
    return [
        Outcome(subject="MPI", quantity=TO_SEND_SMALL, value=seconds[0], unit="s"),
        Outcome(subject="MPI", quantity=TO_SEND_LARGE, value=seconds[-1], unit="s"),
        Outcome(subject="MPI", quantity=BUFFERED, value=max(buffered, default=0), unit="B"),
        Outcome(
            subject="MPI",
            quantity=RECEIVED,
            value=None,
            unit="messages",
            note="both end together: nobody can come after the sender's end",
        ),
    ]


def _in_kafka(rig: Rig) -> list[Outcome]:
    outcomes, received = [], []
    for nbytes, quantity in ((SMALL, TO_SEND_SMALL), (LARGE, TO_SEND_LARGE)):
        with rig.topic(max_message_bytes=str(2 * LARGE)) as topic:
            sent = rig.alone(
                SENDER,
                to_send(
                    rig, topic, MESSAGES, nbytes=nbytes, interval=APART_SECONDS, message_max_bytes=2 * LARGE
                ),
            )
            received.append(len(rig.alone(RECEIVER, to_receive(rig, topic, MESSAGES))["numbers"]))
        outcomes.append(
            Outcome(subject="Kafka", quantity=quantity, value=statistics.median(sent["calls"]), unit="s")
        )
    kept = statistics.median(wait for wait in sent["waits"] if wait is not None)
    return [
        *outcomes,
        Outcome(subject="Kafka", quantity=UNTIL_KEPT, value=kept, unit="s"),
        Outcome(subject="Kafka", quantity=RECEIVED, value=min(received), unit="messages"),
    ]


def _say(value: Value) -> str:
    small, large = (
        f"{'waits' if value('MPI', quantity) >= LATE_SECONDS / 2 else 'does not wait'} for its receiver "
        f"({span(value('MPI', quantity))})"
        for quantity in (TO_SEND_SMALL, TO_SEND_LARGE)
    )
    return (
        f"In MPI a send of 1 KiB {small} and one of 4 MiB {large}, of a receiver {span(LATE_SECONDS)} late; in Kafka "
        f"the sender is rid of 4 MiB after {span(value('Kafka', TO_SEND_LARGE))}, knows after "
        f"{span(value('Kafka', UNTIL_KEPT))} that they are kept, and who came when it had ended received "
        f"{value('Kafka', RECEIVED):.0f} of {MESSAGES}."
    )
