"""The arithmetic: mean number under way, rate of arrival and mean time, stage by stage."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

MOMENTS = ("published", "logged", "begun", "done")
"""What happens to each step: given to `publish`, appended to Kafka's log, taken by the analysis, analysed."""
STAGES = {
    "publisher": ("published", "logged"),
    "log": ("logged", "begun"),
    "analysis": ("begun", "done"),
    "all the way": ("published", "done"),
}


class Times(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When that happened to each step, in seconds since the epoch; as many of each, in the order of the steps."""

    published: tuple[float, ...]
    logged: tuple[float, ...]
    begun: tuple[float, ...]
    done: tuple[float, ...]


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """To how many steps that had happened at one moment; half numbers where it happened while we looked.

    Parameters
    ----------
    at
        The moment, in seconds since the epoch.
    """

    at: float
    published: float
    logged: float
    begun: float
    done: float


class Stage(NamedTuple):
    """What was found about one stage.

    Parameters
    ----------
    in_flight
        Mean number of steps in it, L, as sampled.
    rate
        Steps per second that come into it, λ.
    residence
        Mean time of a step in it, W, in seconds.
    """

    in_flight: float
    rate: float
    residence: float

    @property
    def ratio(self) -> float:
        """L over λW; 1 if the law holds and both sides were measured well."""
        return self.in_flight / (self.rate * self.residence)


def stages(times: Times, samples: Sequence[Sample]) -> dict[str, Stage]:
    """Hold what was sampled against what was timed.

    The window is the time from the first step's begin to the last one's end. As nothing is under way before and
    after it, L = λW holds in it exactly, with whatever arrivals and times of service: Little, "A Proof for the
    Queuing Formula L = λW", Operations Research 9 (1961), and for finite windows "Little's Law as Viewed on Its 50th
    Anniversary", Operations Research 59 (2011). A ratio that is not 1 tells of an error of measurement.

    Raises
    ------
    ValueError
        If there are no steps, or no sample lies in the window.
    """
    moments = {name: np.asarray(getattr(times, name)) for name in MOMENTS}
    if not moments["published"].size or len({values.size for values in moments.values()}) > 1:
        raise ValueError("all moments are needed of at least one step")
    begin, end = moments["published"].min(), moments["done"].max()
    inside = sorted((s for s in samples if begin < s.at < end), key=lambda sample: sample.at)
    if not inside:
        raise ValueError(f"none of {len(samples)} samples was taken in the {end - begin:.3g} s of the steps")
    rate = moments["published"].size / (end - begin)
    at = np.array([begin, *(sample.at for sample in inside), end])
    found = {}
    for name, (entry, leaving) in STAGES.items():
        within = [getattr(sample, entry) - getattr(sample, leaving) for sample in inside]
        number = np.array([0.0, *within, 0.0])
        # By time, not by sample: a machine that is busy answers the sampler late, and just then many are under way.
        found[name] = Stage(
            in_flight=float((np.diff(at) * (number[1:] + number[:-1]) / 2).sum() / (end - begin)),
            rate=float(rate),
            residence=float((moments[leaving] - moments[entry]).mean()),
        )
    return found
