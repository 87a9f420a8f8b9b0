"""Results as tables: the page, the Markdown and the documentation show the same ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lockstream.contrast.report.words import (
    duration,
    duration_between,
    factor,
    figure,
    number,
    rate,
    rate_between,
    size,
)
from lockstream.contrast.results import (
    Experiment,
    Fit,
    Latency,
    Machine,
    Measurement,
    Results,
    Throughput,
    Verdict,
)

STYLES = {"mpi": "MPI", "kafka": "Kafka"}
_LATENCY_HEADINGS = ("MPI", "p99", "Kafka", "p99", "Kafka / MPI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Headings and rows of the same length; the first column says what a row is about.

    Parameters
    ----------
    headings, rows
        The cells.
    is_prose
        Whether these are words rather than figures.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_prose: bool = False

    def markdown(self) -> str:
        """Return it as Markdown."""
        others = "---" if self.is_prose else "---:"
        lines = [self.headings, ["---"] + [others] * (len(self.headings) - 1), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines)


def machine_table(results: Results) -> Table:
    """Where and when."""
    machine: Machine = results.machine
    rows = [
        ("processor", f"{machine.processor}, {machine.cores} cores"),
        ("memory", size(machine.memory_bytes)),
        ("system", machine.system),
        ("MPI", machine.mpi),
        ("Kafka", f"{machine.kafka}, client librdkafka {machine.client}"),
        ("Python", machine.python),
        ("load before", f"{machine.load:.1f} processes"),
        ("date", results.date),
        ("took", f"{duration(results.seconds)}{', quick' if results.is_quick else ''}"),
    ]
    return Table(headings=("", ""), rows=rows, is_prose=True)


def verdict_table(verdicts: Iterable[Verdict]) -> Table:
    """Use this when."""
    rows = [(v.need, v.use, v.because) for v in verdicts]
    return Table(headings=("you want", "use", "because"), rows=rows, is_prose=True)


def usual(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Return those in which nothing was changed against the usual."""
    return [m for m in measurements if not m.dimension]


def pattern_table(measurements: Iterable[Measurement], pattern: str) -> Table:
    """One exchange in both styles: a row per size and number of participants."""
    chosen = [m for m in usual(measurements) if m.pattern == pattern]
    by_key = {(m.participants, m.nbytes, m.style): m for m in chosen}
    rows = []
    for participants, nbytes in sorted({(m.participants, m.nbytes) for m in chosen}):
        mpi, kafka = (by_key.get((participants, nbytes, style)) for style in ("mpi", "kafka"))
        ratio = factor(kafka.latency.median / mpi.latency.median) if mpi and kafka else "–"
        rows.append((f"{size(nbytes)}, {participants}", *_latency(mpi), *_latency(kafka), ratio))
    return Table(headings=("size, participants", *_LATENCY_HEADINGS), rows=rows)


def summary_table(measurements: Iterable[Measurement]) -> Table:
    """All exchanges between the fewest participants, at the smallest and the largest size that both styles have."""
    pairs: dict[tuple[str, int], dict[int, dict[str, Measurement]]] = {}
    for m in usual(measurements):
        pairs.setdefault((m.pattern, m.participants), {}).setdefault(m.nbytes, {})[m.style] = m
    rows = []
    for pattern in dict.fromkeys(pattern for pattern, _ in pairs):
        participants = min(count for name, count in pairs if name == pattern)
        sizes = {n: pair for n, pair in pairs[pattern, participants].items() if len(pair) == len(STYLES)}
        for nbytes in sorted({min(sizes), max(sizes)}) if sizes else []:
            mpi, kafka = (sizes[nbytes][style] for style in STYLES)
            label = f"{pattern}, {size(nbytes)}, {participants}"
            ratio = factor(kafka.latency.median / mpi.latency.median)
            rows.append((label, *_latency(mpi), *_latency(kafka), ratio))
    headings = ("exchange, size, participants", *_LATENCY_HEADINGS)
    return Table(headings=headings, rows=rows)


def _latency(measurement: Measurement | None) -> tuple[str, str]:
    if measurement is None:
        return "–", "–"
    return _median(measurement.latency), duration(measurement.latency.p99)


def _median(found: Latency) -> str:
    return duration_between(found.median, found.low, found.high)


def _rate(found: Throughput) -> str:
    return rate_between(found.median, found.low, found.high)


def cost_table(measurements: Iterable[Measurement]) -> Table:
    """Throughput and what a byte costs in CPU: the largest messages of each exchange."""
    pairs: dict[tuple[str, int, int], dict[str, Throughput]] = {}
    for m in usual(measurements):
        if m.throughput:
            pairs.setdefault((m.pattern, m.participants, m.nbytes), {})[m.style] = m.throughput
    complete = [key for key, pair in pairs.items() if len(pair) == len(STYLES)]
    rows = []
    for pattern in dict.fromkeys(pattern for pattern, _, _ in complete):
        key = max((k for k in complete if k[0] == pattern), key=lambda k: (k[2], -k[1]))
        pair = [pairs[key][style] for style in STYLES]
        mpi, kafka = (found.cpu_seconds_per_gigabyte for found in pair)
        label = f"{pattern}, {size(key[2])}, {key[1]}"
        costs = f"{number(mpi)} s/GB", f"{number(kafka)} s/GB", factor(kafka / mpi) if mpi else "–"
        rows.append((label, *map(_rate, pair), *costs))
    headings = ("exchange", "MPI", "Kafka", "CPU in MPI", "CPU in Kafka", "Kafka / MPI")
    return Table(headings=headings, rows=rows)


def dimension_table(measurements: Iterable[Measurement]) -> Table:
    """What settings do, in the order in which they were measured."""
    rows = [
        (
            f"{m.dimension} = {m.setting}",
            STYLES[m.style],
            m.pattern,
            size(m.nbytes),
            *_latency(m),
            _rate(m.throughput) if m.throughput else "–",
        )
        for m in measurements
        if m.dimension
    ]
    headings = ("setting", "style", "exchange", "size", "median", "p99", "throughput")
    return Table(headings=headings, rows=rows)


def experiment_table(experiment: Experiment) -> Table:
    """Quantities as rows and subjects as columns; or the other way round, if there are more subjects."""
    subjects = list(dict.fromkeys(outcome.subject for outcome in experiment.outcomes))
    quantities = list(dict.fromkeys(outcome.quantity for outcome in experiment.outcomes))
    cells = {(o.quantity, o.subject): figure(o) for o in experiment.outcomes}
    if len(subjects) > len(quantities):
        turned = [(subject, *(cells.get((q, subject), "–") for q in quantities)) for subject in subjects]
        return Table(headings=("", *quantities), rows=turned)
    rows = [(q, *(cells.get((q, subject), "–") for subject in subjects)) for q in quantities]
    return Table(headings=("", *subjects), rows=rows)


def fit_table(fits: Iterable[Fit]) -> Table:
    """Both parameters of every fit, and how well it foretells what it has not seen."""
    rows = [
        (
            f"{fit.pattern}, {fit.participants}",
            STYLES[fit.style],
            f"{size(fit.smallest)} to {size(fit.largest)}",
            duration(fit.alpha),
            rate(1 / fit.beta) if fit.beta else "–",
            size(fit.alpha / fit.beta) if fit.beta else "–",
            factor(fit.worst_factor),
        )
        for fit in fits
    ]
    headings = (
        "exchange, participants",
        "style",
        "sizes",
        "α",
        "bandwidth 1/β",
        "half of it at",
        "worst prediction off by",
    )
    return Table(headings=headings, rows=rows)
