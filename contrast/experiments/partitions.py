"""One, two and four partitions."""

from lockstream.contrast.experiments.rounds import Value, conclude
from lockstream.contrast.experiments.sending import SENDER, to_send
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig, crowd

COUNTS = (1, 2, 4)
NBYTES = 4096


def run(rig: Rig) -> Experiment:
    """Measure rate and order."""
    messages = 5000 if rig.is_quick else 20000

    def measure() -> list[Outcome]:
        return [
            outcome
            for count in COUNTS
            for style in (_in_mpi, _in_kafka)
            for outcome in style(rig, messages, count)
        ]

    return conclude(
        rig,
        measure,
        _say,
        name="partitions",
        title="Twice as many partitions",
        question="What do more partitions bring, and what becomes of the order?",
        method=(
            f"{messages} numbered messages of 4 KiB. In Kafka one sender gives them in turn to 1, 2 and 4 partitions, "
            "and one reader reads all of them; in MPI 1, 2 and 4 ranks share the numbers and send theirs to one that "
            "takes whatever comes first. A message is out of turn if one with a higher number came before it."
        ),
    )


def _quantities(count: int) -> tuple[str, str, str, str]:
    ways = f"{count} way{'s' if count > 1 else ''}"
    return (
        f"messages sent per second, {ways}",
        f"messages received per second, {ways}",
        f"out of turn within a way, {ways}",
        f"out of turn over all, {ways}",
    )


def _in_mpi(rig: Rig, messages: int, count: int) -> list[Outcome]:
    found = rig.on_ranks(
        count + 1, "experiments.programs.orders_mpi", {"messages": messages, "nbytes": NBYTES}
    )
    _, received, within, over_all = _quantities(count)
    rate = messages / found["seconds"]
    return [
        Outcome(subject="MPI", quantity=received, value=rate, unit="1/s", note=crowd(count + 1)),
        Outcome(subject="MPI", quantity=within, value=found["within"], unit="messages"),
        Outcome(subject="MPI", quantity=over_all, value=found["over_all"], unit="messages"),
    ]


def _in_kafka(rig: Rig, messages: int, count: int) -> list[Outcome]:
    with rig.topic(count) as topic:
        sent = rig.alone(SENDER, to_send(rig, topic, messages, nbytes=NBYTES, partitions=count))
        asked = {"servers": rig.servers, "topic": topic, "partitions": count, "messages": messages}
        found = rig.alone("experiments.programs.orders_kafka", asked)
    to_send_rate, received, within, over_all = _quantities(count)
    rate = messages / (sent["acknowledged_at"] - sent["began"])
    return [
        Outcome(subject="Kafka", quantity=to_send_rate, value=rate, unit="1/s"),
        Outcome(subject="Kafka", quantity=received, value=messages / found["seconds"], unit="1/s"),
        Outcome(subject="Kafka", quantity=within, value=found["within"], unit="messages"),
        Outcome(subject="Kafka", quantity=over_all, value=found["over_all"], unit="messages"),
    ]


def _say(value: Value) -> str:
    few, many = COUNTS[0], COUNTS[-1]
    sent, sent_then = (value("Kafka", _quantities(count)[0]) for count in (few, many))
    within = sum(value("Kafka", _quantities(count)[2]) for count in COUNTS)
    over_all = value("Kafka", _quantities(many)[3])
    mpi_within, mpi_over_all = (value("MPI", quantity) for quantity in _quantities(many)[2:])
    return (
        f"With {many} partitions instead of {few} the sender's rate is {sent_then / sent:.1f} times as high on this "
        f"machine, {within:.0f} messages come out of turn within a partition and {over_all:.0f} over the whole topic; "
        f"from {many} ranks in MPI it is {mpi_within:.0f} within a sender and {mpi_over_all:.0f} over all."
    )
