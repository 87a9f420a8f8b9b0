"""What the contrast lab found, as data: everything that a report, a table or a plot says comes from here."""

from pathlib import Path
from typing import Literal

import msgspec

FORMAT: Literal[2] = 2
Style = Literal["mpi", "kafka"]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the results."""


class Machine(Record, frozen=True, kw_only=True):
    """Where the figures were taken; they belong to it.

    Parameters
    ----------
    processor, system, python, mpi, kafka, client
        Names and versions; `client` is librdkafka's.
    cores
        On which this could run.
    memory_bytes
        Of the machine.
    load
        Processes at work on average in the minute before the first measurement; others may have disturbed it.
    """

    processor: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    mpi: str
    kafka: str
    client: str
    load: float


class Latency(Record, frozen=True, kw_only=True):
    """A distribution of times, in seconds.

    Parameters
    ----------
    samples, turns
        How many were taken, and in how many turns, between which others had theirs.
    median
        Of the turns' medians.
    low, high
        95 % confidence interval of that, within this run; the range, where there were fewer than six turns.
    p99
        Of the samples.
    """

    samples: int
    turns: int
    median: float
    low: float
    high: float
    p99: float


class Throughput(Record, frozen=True, kw_only=True):
    """What streams of exchanges brought, with as many under way as the style allows.

    Parameters
    ----------
    samples
        How many streams there were.
    median
        Payload over time, in bytes per second.
    low, high
        95 % confidence interval of the median; the range, where there were fewer than six streams.
    cpu_seconds_per_gigabyte
        Of all participants and, in Kafka, of the broker.
    """

    samples: int
    median: float
    low: float
    high: float
    cpu_seconds_per_gigabyte: float


class Measurement(Record, frozen=True, kw_only=True):
    """One exchange, of one size, between so many participants, in one style.

    Parameters
    ----------
    pattern
        E.g. "broadcast".
    nbytes
        Payload of one message.
    participants
        Ranks, or producers and consumers together.
    latency
        Of one exchange: from its begin until the last participant has what it is due.
    throughput
        None if it was not measured.
    dimension, setting
        What was changed against the usual, e.g. "acks" and "0"; empty for the usual.
    note
        What has to be known of this one, e.g. that there were fewer cores than ranks.
    """

    pattern: str
    style: Style
    nbytes: int
    participants: int
    latency: Latency
    throughput: Throughput | None = None
    dimension: str = ""
    setting: str = ""
    note: str = ""


class Outcome(Record, frozen=True, kw_only=True):
    """One figure of an experiment.

    Parameters
    ----------
    subject
        Whose figure it is, e.g. "MPI", "Kafka", "bridge".
    quantity
        What was measured; experiments measure each quantity for every subject where it makes sense.
    value
        The figure; None where it could not come about, and `note` says why.
    unit
        E.g. "s", "messages"; empty for a bare number.
    low, high
        Interval of confidence or range, if it was measured more than once.
    """

    subject: str
    quantity: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    note: str = ""


class Experiment(Record, frozen=True, kw_only=True):
    """What no latency plot shows.

    Parameters
    ----------
    name
        For machines, e.g. "slow-participant".
    title, question
        For people.
    method
        What was done, in one or two sentences, with its figures.
    outcomes
        What was measured.
    finding
        What it means, in one sentence made from the outcomes.
    """

    name: str
    title: str
    question: str
    method: str
    outcomes: tuple[Outcome, ...]
    finding: str

    def value(self, subject: str, quantity: str) -> float:
        """Return one figure.

        Raises
        ------
        KeyError
            It was not measured, or could not come about.
        """
        for outcome in self.outcomes:
            if (outcome.subject, outcome.quantity) == (subject, quantity) and outcome.value is not None:
                return outcome.value
        raise KeyError((subject, quantity))


class FitPoint(Record, frozen=True, kw_only=True):
    """A size, the time that was measured for it and the time that the model gives, in seconds."""

    nbytes: int
    measured: float
    predicted: float


class Fit(Record, frozen=True, kw_only=True):
    """Time of an exchange as alpha + nbytes * beta (Hockney, 1994).

    Parameters
    ----------
    alpha
        Seconds that an exchange of nothing takes.
    beta
        Seconds per byte; its reciprocal is the bandwidth.
    points
        Sizes that were measured; those marked in `held_out` were not used for the fit.
    worst_factor
        The worst ratio of prediction and measurement, whichever is larger over the other, among the points held out.
    smallest, largest
        Sizes between which it holds. Where one line misses by more than a factor of 2 there are two, one for small
        and one for large messages, that meet at one size.
    """

    pattern: str
    style: Style
    participants: int
    alpha: float
    beta: float
    points: tuple[FitPoint, ...]
    held_out: tuple[int, ...]
    worst_factor: float
    smallest: int = 0
    largest: int = 0


class Verdict(Record, frozen=True, kw_only=True):
    """When to use which style, and the figure that says so.

    Parameters
    ----------
    need
        What somebody wants.
    use
        What serves it best.
    because
        The figures.
    evidence
        Name of the experiment or pattern that they come from.
    """

    need: str
    use: str
    because: str
    evidence: str


class Failure(Record, frozen=True, kw_only=True):
    """What could not be measured, and why."""

    part: str
    why: str


class Results(Record, frozen=True, kw_only=True):
    """Everything that one run of the lab found."""

    format: Literal[2] = FORMAT
    date: str
    seconds: float
    is_quick: bool
    machine: Machine
    measurements: tuple[Measurement, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    fits: tuple[Fit, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    failures: tuple[Failure, ...] = ()


def read_results(path: Path) -> Results:
    """Return what `write_results` wrote.

    Raises
    ------
    msgspec.DecodeError
        It is not that.
    """
    return msgspec.json.decode(path.read_bytes(), type=Results)


def write_results(path: Path, results: Results) -> None:
    """Write results as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
