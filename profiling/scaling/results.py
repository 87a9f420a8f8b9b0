"""What was measured on how many ranks, and what it means, as data: report, tables and plot are made from it."""

from pathlib import Path

import msgspec

from lockstream.profiling.results import Machine, Record

FORMAT = 1


class Sample(Record, frozen=True, kw_only=True):
    """One run.

    Parameters
    ----------
    ranks, round
        On how many ranks, in which round.
    seconds
        Of the time loop.
    path
        What these seconds consist of, by phase, on the critical path; adds up to them.
    mean
        Seconds in each phase, on average over the ranks.
    """

    ranks: int
    round: int
    seconds: float
    path: dict[str, float]
    mean: dict[str, float]


class Point(Record, frozen=True, kw_only=True):
    """A number of ranks.

    Parameters
    ----------
    seconds
        Of the time loop, median of the rounds.
    speedup, low, high
        Against one rank in the same round: median, lowest and highest. For weak scaling, of the work done per second.
    serial_fraction
        What this speed-up alone amounts to: Karp and Flatt's, or for weak scaling Gustafson's; None for one rank.
    is_fitted
        Whether the fit rests on it.
    """

    ranks: int
    seconds: float
    speedup: float
    low: float
    high: float
    serial_fraction: float | None
    is_fitted: bool

    @property
    def efficiency(self) -> float:
        """Speed-up per rank."""
        return self.speedup / self.ranks


class Part(Record, frozen=True, kw_only=True):
    """A phase in the fit.

    Parameters
    ----------
    name
        Of the phase.
    seconds
        On the critical path, mean of the rounds, for every point.
    constant, low, high
        Strong scaling: the seconds that more ranks do not make shorter. Weak scaling: by how many seconds it grows
        with every rank. With its 95 % interval, None if there were too few rounds.
    variable
        Strong scaling: the seconds that are shared among the ranks. Weak scaling: those on one rank.
    """

    name: str
    seconds: tuple[float, ...]
    constant: float
    low: float | None
    high: float | None
    variable: float


class Scaling(Record, frozen=True, kw_only=True):
    """A measurement of scaling.

    Parameters
    ----------
    date
        When, as ISO 8601.
    is_weak
        Whether the domain grew with the ranks.
    command
        How it was asked for.
    model, shape, steps, every
        What was run; the domain's shape is that on one rank, and every n-th step was published.
    is_streaming
        Whether the steps went to Kafka.
    fraction, low, high
        The serial fraction that fits best, and its 95 % interval.
    culprit
        The phase that contributes most to it; empty if none does.
    """

    format: int = FORMAT
    date: str
    machine: Machine
    is_weak: bool
    command: str
    model: str
    shape: tuple[int, int]
    steps: int
    every: int
    is_streaming: bool
    rounds: int
    fraction: float
    low: float | None
    high: float | None
    culprit: str
    points: tuple[Point, ...]
    parts: tuple[Part, ...]
    warnings: tuple[str, ...]
    samples: tuple[Sample, ...]


def read_scaling(path: Path) -> Scaling:
    """Return what `lockstream.profiling.results.write_json` wrote.

    Raises
    ------
    msgspec.DecodeError
        It is not that.
    """
    return msgspec.json.decode(path.read_bytes(), type=Scaling)
