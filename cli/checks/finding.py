"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How good it is: a fault stops a run or loses its results, a warning may."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "FAULT"
    UNKNOWN = "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report.

    Parameters
    ----------
    place
        ``mpi``, ``kafka``, ``disks`` or ``slurm``.
    what
        What was looked at, e.g. "topic lockstream.run.vortex-9".
    state
        How good it is.
    found
        What it is like, with the figures.
    cure
        What to do about it, with the command where there is one; empty if nothing is to be done.
    """

    place: str
    what: str
    state: State
    found: str
    cure: str = ""


def ok(place: str, what: str, found: str) -> Finding:
    """As it should be."""
    return Finding(place=place, what=what, state=State.OK, found=found)


def warning(place: str, what: str, found: str, cure: str) -> Finding:
    """It may go wrong."""
    return Finding(place=place, what=what, state=State.WARNING, found=found, cure=cure)


def fault(place: str, what: str, found: str, cure: str) -> Finding:
    """It will go wrong."""
    return Finding(place=place, what=what, state=State.FAULT, found=found, cure=cure)


def unknown(place: str, what: str, found: str, cure: str) -> Finding:
    """It could not be looked at."""
    return Finding(place=place, what=what, state=State.UNKNOWN, found=found, cure=cure)
