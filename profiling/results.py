"""What a profiler found in a parallel run, as data: every report and table is made from it."""

import statistics
from pathlib import Path
from typing import Literal

import msgspec

FORMAT = 1
Unit = Literal["line", "function", "symbol", "phase"]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the results."""


class Spot(Record, frozen=True, kw_only=True):
    """A place in the program, and what one rank spent there.

    Parameters
    ----------
    file, line, function
        Where; empty, or 0, for what the tool does not know. For timers, `function` is the phase.
    seconds
        In the place itself, without what it calls where the tool can tell them apart.
    inclusive
        With what it calls.
    native
        Of `seconds`, in compiled code.
    megabytes
        Most memory that the place held at a time.
    calls
        How often it was run.
    """

    file: str
    line: int
    function: str
    seconds: float
    inclusive: float | None = None
    native: float | None = None
    megabytes: float | None = None
    calls: int | None = None


class Node(Record, frozen=True, kw_only=True):
    """A function as it was called from one place, in a tree of calls.

    Parameters
    ----------
    function, file, line
        The function, and where it begins.
    seconds
        Of each rank, with what it calls; 0 where it was not seen.
    """

    function: str
    file: str
    line: int
    seconds: tuple[float, ...]
    children: tuple["Node", ...] = ()


class RankProfile(Record, frozen=True, kw_only=True):
    """What a tool saw on one rank.

    Parameters
    ----------
    seconds
        All the time that the tool watched; shares are of this.
    spots
        In any order; each place once.
    tree
        Of calls, with one figure per node, if the tool keeps them.
    """

    seconds: float
    spots: tuple[Spot, ...]
    tree: Node | None = None


class MergedSpot(Record, frozen=True, kw_only=True):
    """A place in the program, and what all ranks spent there; tuples have one figure per rank.

    Parameters
    ----------
    file, line, function
        As in `Spot`.
    text
        The source line; empty if it is not to be had.
    seconds, shares
        On each rank, absolute and of the rank's time.
    imbalance
        Largest over mean of `seconds`: 1 where all ranks do the same, as many as there are ranks where one does all.
    inclusive, native, megabytes, calls
        As in `Spot`; None if the tool does not say.
    """

    file: str
    line: int
    function: str
    text: str
    seconds: tuple[float, ...]
    shares: tuple[float, ...]
    imbalance: float
    inclusive: tuple[float, ...] | None = None
    native: tuple[float, ...] | None = None
    megabytes: tuple[float, ...] | None = None
    calls: tuple[int, ...] | None = None

    @property
    def mean(self) -> float:
        """Seconds, on average over the ranks."""
        return sum(self.seconds) / len(self.seconds)

    @property
    def excess(self) -> float:
        """Seconds that the busiest rank spends here beyond the mean: what the others may have to wait for."""
        return max(self.seconds) - self.mean

    @property
    def share(self) -> float:
        """Mean of the shares."""
        return sum(self.shares) / len(self.shares)


class Picture(Record, frozen=True, kw_only=True):
    """A picture for the report.

    Parameters
    ----------
    title
        What is to be seen, in one sentence.
    svg
        An ``<svg>`` element.
    """

    title: str
    svg: str


class Machine(Record, frozen=True, kw_only=True):
    """Where the figures were taken; they belong to it.

    Parameters
    ----------
    cores
        On which this could run.
    load
        Processes at work on average in the minute before the run; others may have disturbed it.
    """

    processor: str
    cores: int
    system: str
    python: str
    load: float


class Profile(Record, frozen=True, kw_only=True):
    """A run, and what one tool found in it.

    Parameters
    ----------
    date
        When, as ISO 8601.
    tool, unit
        Name of the tool, and what it can tell apart.
    command
        What was profiled, as it was given.
    rank_seconds
        Time that the tool watched, per rank.
    spots
        The busiest first, by mean share.
    tree
        Merged calls, if the tool keeps them.
    notes
        What the figures do not cover.
    """

    format: int = FORMAT
    date: str
    tool: str
    unit: Unit
    command: tuple[str, ...]
    machine: Machine
    rank_seconds: tuple[float, ...]
    spots: tuple[MergedSpot, ...]
    tree: Node | None = None
    notes: tuple[str, ...] = ()


class Bare(Record, frozen=True, kw_only=True):
    """The command without a tool, twice per round: what differs between the two is noise.

    Parameters
    ----------
    seconds
        Of all bare runs, in pairs of the same round.
    low, high
        Range of the second over the first: no slowdown within it means anything.
    """

    seconds: tuple[float, ...]
    low: float
    high: float

    @property
    def median(self) -> float:
        """Of the same ratios."""
        pairs = zip(self.seconds[::2], self.seconds[1::2], strict=True)
        return statistics.median(second / first for first, second in pairs)


class Slowdown(Record, frozen=True, kw_only=True):
    """The command under a tool, against itself.

    Parameters
    ----------
    seconds
        One figure per round.
    median, low, high
        Of the ratios to the mean of the round's bare runs.
    ranks
        Time that the tool watched, per rank, in the last round.
    spots
        The busiest places that the tool found in the last round.
    """

    tool: str
    unit: Unit
    seconds: tuple[float, ...]
    median: float
    low: float
    high: float
    ranks: tuple[float, ...]
    spots: tuple[MergedSpot, ...]


class Comparison(Record, frozen=True, kw_only=True):
    """The observer effect: one command, bare and under each tool in turn.

    Parameters
    ----------
    left_out
        Tools that could not be used here, and why.
    """

    format: int = FORMAT
    date: str
    command: tuple[str, ...]
    machine: Machine
    rounds: int
    bare: Bare
    tools: tuple[Slowdown, ...]
    left_out: dict[str, str]


def read_profile(path: Path) -> Profile:
    """Return what `write_json` wrote.

    Raises
    ------
    msgspec.DecodeError
        It is not that.
    """
    return msgspec.json.decode(path.read_bytes(), type=Profile)


def read_comparison(path: Path) -> Comparison:
    """Return what `write_json` wrote.

    Raises
    ------
    msgspec.DecodeError
        It is not that.
    """
    return msgspec.json.decode(path.read_bytes(), type=Comparison)


def write_json(path: Path, results: Record) -> None:
    """Write results as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
