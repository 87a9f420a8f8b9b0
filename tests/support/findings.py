"""Results of the contrast lab that nobody measured, for tests of what is made of them."""

from lockstream.contrast.results import (
    Experiment,
    Fit,
    FitPoint,
    Latency,
    Machine,
    Measurement,
    Outcome,
    Results,
    Style,
    Throughput,
    Verdict,
)

ALPHA = {"mpi": 2e-6, "kafka": 8e-4}
BETA = {"mpi": 2e-10, "kafka": 3e-9}
SIZES = (1, 1024, 1 << 20, 64 << 20)


def measured(pattern: str, style: Style, participants: int, nbytes: int, **more: str) -> Measurement:
    median = ALPHA[style] * participants + nbytes * BETA[style]
    return Measurement(
        pattern=pattern,
        style=style,
        nbytes=nbytes,
        participants=participants,
        latency=Latency(
            samples=50, turns=10, median=median, low=median * 0.9, high=median * 1.1, p99=median * 3
        ),
        throughput=Throughput(
            samples=6,
            median=nbytes / median,
            low=nbytes / median * 0.8,
            high=nbytes / median * 1.1,
            cpu_seconds_per_gigabyte=0.2 if style == "mpi" else 2.4,
        ),
        dimension=more.get("dimension", ""),
        setting=more.get("setting", ""),
    )


def fitted(pattern: str, style: Style, participants: int) -> Fit:
    points = tuple(
        FitPoint(nbytes=n, measured=m, predicted=m * 1.25)
        for n in SIZES
        if (m := measured(pattern, style, participants, n).latency.median)
    )
    return Fit(
        pattern=pattern,
        style=style,
        participants=participants,
        alpha=ALPHA[style] * participants,
        beta=BETA[style],
        points=points,
        held_out=(1024,),
        worst_factor=1.25,
    )


def findings() -> Results:
    styles: tuple[Style, ...] = ("mpi", "kafka")
    patterns = ("point to point", "broadcast", "scatter", "gather", "all-reduce")
    measurements = [
        measured(pattern, style, participants, nbytes)
        for pattern in patterns
        for style in styles
        for participants in (2, 4)
        for nbytes in SIZES
    ]
    measurements += [
        measured("point to point", "kafka", 2, 1024, dimension="acks", setting=acks) for acks in "01"
    ]
    outcomes = (
        Outcome(subject="MPI", quantity="others waited", value=0.5, unit="s", low=0.45, high=0.55),
        Outcome(subject="Kafka", quantity="others waited", value=0.0, unit="s"),
        Outcome(subject="MPI", quantity="messages lost", value=None, unit="", note="the job <died>"),
        Outcome(subject="Kafka", quantity="messages lost", value=0, unit="messages"),
    )
    slow = Experiment(
        name="slow-participant",
        title="A slow participant",
        question="Who waits?",
        method="One of four takes 50 ms longer.",
        outcomes=outcomes,
        finding="In MPI all wait, in Kafka nobody does.",
    )
    return Results(
        date="2026-01-02",
        seconds=100.0,
        is_quick=True,
        machine=Machine(
            processor="Abacus",
            cores=2,
            memory_bytes=24 << 30,
            system="Linux",
            python="3.11",
            mpi="MPICH 5",
            kafka="4.4",
            client="2.16",
            load=0.5,
        ),
        measurements=tuple(measurements),
        experiments=(slow,),
        fits=tuple(fitted(pattern, style, 2) for pattern in patterns for style in styles),
        verdicts=(Verdict(need="low latency", use="MPI", because="400× sooner", evidence="point to point"),),
    )
