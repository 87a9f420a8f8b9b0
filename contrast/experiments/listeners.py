"""More and more listeners to one sender."""

from contextlib import ExitStack

from lockstream.contrast.cpu import cpu_seconds
from lockstream.contrast.experiments.rounds import Value, conclude, span
from lockstream.contrast.experiments.sending import RECEIVER, SENDER, to_receive, to_send
from lockstream.contrast.experiments.starting import await_ready
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig, crowd

MESSAGES, NBYTES = 100, 64 << 10
LIMIT_SECONDS = 120.0
KAFKA = "Kafka"
WAYS = {"MPI broadcast": "broadcast", "MPI sends": "one by one"}


def run(rig: Rig) -> Experiment:
    """Measure what each listener more costs."""
    counts = (1, 4) if rig.is_quick else (1, 2, 4, 8)

    def measure() -> list[Outcome]:
        found: list[Outcome] = []
        for count in counts:
            for subject, way in WAYS.items():
                found += _in_mpi(rig, count, subject, way)
            found += _in_kafka(rig, count)
        return found

    def say(value: Value) -> str:
        grown = "; ".join(_growth(value, subject, counts[0], counts[-1]) for subject in (*WAYS, KAFKA))
        crowded = crowd(counts[-1] + 1)
        return f"{grown}{crowded and '; '}{crowded}."

    return conclude(
        rig,
        measure,
        say,
        name="more-listeners",
        title="One more listener",
        question="What does one more listener cost the sender, and what does it cost the machine?",
        method=(
            f"{MESSAGES} messages of 64 KiB, as fast as they go, to {', '.join(map(str, counts))} listeners: by MPI's "
            "Bcast, by a Send to each of them, and through a topic that each of them reads. Processor time is that of "
            "all ranks; or of sender, readers and broker."
        ),
    )


def _quantities(listeners: int) -> tuple[str, str, str]:
    who = f"{listeners} listener{'s' if listeners > 1 else ''}"
    return (
        f"sender's time per message, {who}",
        f"until all have it, {who}",
        f"processor time per message, {who}",
    )


def _outcomes(
    subject: str, listeners: int, figures: tuple[float, float, float], note: str = ""
) -> list[Outcome]:
    return [
        Outcome(subject=subject, quantity=quantity, value=figure, unit="s", note=note)
        for quantity, figure in zip(_quantities(listeners), figures, strict=True)
    ]


def _in_mpi(rig: Rig, listeners: int, subject: str, way: str) -> list[Outcome]:
    asked = {"messages": MESSAGES, "nbytes": NBYTES, "way": way}
    found = rig.on_ranks(listeners + 1, "experiments.programs.listeners_mpi", asked, LIMIT_SECONDS)
    return _outcomes(
        subject, listeners, (found["sender"], found["everybody"], found["cpu"]), crowd(listeners + 1)
    )


def _in_kafka(rig: Rig, listeners: int) -> list[Outcome]:
    with rig.topic() as topic, ExitStack() as stack:
        readers = [
            stack.enter_context(rig.beside(RECEIVER, to_receive(rig, topic, MESSAGES)))
            for _ in range(listeners)
        ]
        await_ready(*readers)
        sent = rig.alone(SENDER, to_send(rig, topic, MESSAGES, nbytes=NBYTES))
        read = [reader.answer(LIMIT_SECONDS) for reader in readers]
        broker = cpu_seconds(rig.broker_pid) - sent["broker_cpu"]
    everybody = max(answer["at"][-1] for answer in read) - sent["began"]
    cpu = broker + sent["cpu"] + sum(answer["cpu"] for answer in read)
    return _outcomes(KAFKA, listeners, (sum(sent["calls"]) / MESSAGES, everybody / MESSAGES, cpu / MESSAGES))


def _growth(value: Value, subject: str, few: int, many: int) -> str:
    (sender, _, cpu), (sender_then, _, cpu_then) = (
        [value(subject, quantity) for quantity in _quantities(count)] for count in (few, many)
    )
    return (
        f"{subject}: from {few} to {many} listeners the sender's time per message goes from {span(sender)} to "
        f"{span(sender_then)} ({sender_then / sender:.1f} times), the processors' from {span(cpu)} to {span(cpu_then)} "
        f"({cpu_then / cpu:.1f} times)"
    )
