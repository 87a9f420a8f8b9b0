"""From what one round of an experiment measured to the figures and the sentence that stand for all rounds."""

import statistics
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig

ROUNDS = 3

Value = Callable[[str, str], float]


def conclude(
    rig: Rig,
    measure: Callable[[], Sequence[Outcome]],
    say: Callable[[Value], str],
    worst: Collection[str] = (),
    **about: Any,
) -> Experiment:
    """Measure in rounds, and say what was found.

    Parameters
    ----------
    rig
        One round is enough where a rough answer will do.
    measure
        One round; always the same quantities.
    say
        Returns the finding; it is given what looks a figure up by subject and quantity.
    worst
        Quantities of which the largest figure stands for all rounds, and not the one in the middle: losses.
    about
        The other parts of the experiment.
    """
    taken = [measure() for _ in range(1 if rig.is_quick else ROUNDS)]
    outcomes = tuple(
        _one_for_all(same, max if same[0].quantity in worst else statistics.median)
        for same in zip(*taken, strict=True)
    )
    found = Experiment(outcomes=outcomes, finding="", **about)
    return msgspec.structs.replace(found, finding=say(found.value))


def span(seconds: float) -> str:
    """Return a time as people say it, e.g. "50 ms"."""
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} µs"


def _one_for_all(same: Sequence[Outcome], choose: Callable[[list[float]], float]) -> Outcome:
    values = [outcome.value for outcome in same if outcome.value is not None]
    if len(values) < 2:
        return same[0]
    low, high = min(values), max(values)
    return msgspec.structs.replace(same[0], value=choose(values), low=low, high=high)
