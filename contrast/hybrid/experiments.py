"""The workflow three ways, as experiments: each scenario in each way, in turn, as often as there is time."""

from collections.abc import Callable

import msgspec

from lockstream.contrast.hybrid import findings
from lockstream.contrast.hybrid.scenarios import (
    Figures,
    added_analysis,
    crashed_analysis,
    slow_analysis,
    solve_fast,
)
from lockstream.contrast.hybrid.ways import WAYS, Way
from lockstream.contrast.hybrid.workflow import Plan
from lockstream.contrast.results import Experiment
from lockstream.contrast.rig import Rig


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it.

    Parameters
    ----------
    rounds
        How often each scenario is run in each way.
    fast
        The plan that is computed as fast as it goes.
    paced
        The plan whose steps take a time of their own.
    slow_frames
        How many intervals between frames a slow analysis takes for each.
    crash_at
        With which frame an analysis is killed.
    join_after
        After how many results another analysis is wanted.
    """

    rounds: int
    fast: Plan
    paced: Plan
    slow_frames: float = 5.0
    crash_at: int
    join_after: int


_PACE = 0.01  # s; neighbours can talk through topics in that time
QUICK = Sizes(
    rounds=1,
    fast=Plan(rows=256, columns=256, workers=2, steps=200, every=10),
    paced=Plan(rows=256, columns=256, workers=2, steps=50, every=5, pace=_PACE),
    slow_frames=3.0,
    crash_at=5,
    join_after=3,
)
FULL = Sizes(
    rounds=5,
    fast=Plan(rows=256, columns=256, workers=2, steps=1000, every=20),
    paced=Plan(rows=256, columns=256, workers=2, steps=120, every=5, pace=_PACE),
    crash_at=10,
    join_after=8,
)


def run(rig: Rig) -> tuple[Experiment, ...]:
    """Do everything in all three ways."""
    return measured(rig, QUICK if rig.is_quick else FULL)


def measured(rig: Rig, sizes: Sizes) -> tuple[Experiment, ...]:
    """Do everything in all three ways.

    Raises
    ------
    WorkflowStuck, ProgramFailed
        If one does not do what it must.
    """
    paced, interval = sizes.paced, sizes.paced.pace * sizes.paced.every
    slow = msgspec.structs.replace(paced, analysis_seconds=sizes.slow_frames * interval)
    crash = msgspec.structs.replace(paced, crash_at=sizes.crash_at)
    # More frames, so that enough are still to come whenever the other analysis has started.
    longer = msgspec.structs.replace(paced, steps=2 * paced.steps)
    _in_turn(lambda way: solve_fast(way, rig, msgspec.structs.replace(sizes.fast, steps=100)), 1)  # warms up
    return (
        findings.solution(sizes.fast, _in_turn(lambda way: solve_fast(way, rig, sizes.fast), sizes.rounds)),
        findings.slow(slow, _in_turn(lambda way: slow_analysis(way, rig, slow), sizes.rounds)),
        findings.crashed(crash, _in_turn(lambda way: crashed_analysis(way, rig, crash), sizes.rounds)),
        findings.added(
            longer,
            _in_turn(lambda way: added_analysis(way, rig, longer, sizes.join_after), sizes.rounds),
        ),
    )


def _in_turn(scenario: Callable[[type[Way]], Figures], rounds: int) -> findings.Samples:
    """Run a scenario in each way, and that again and again, every other time in reverse order."""
    samples: dict[str, list[Figures]] = {way.name: [] for way in WAYS}
    for turn in range(rounds):
        for way in WAYS[:: -1 if turn % 2 else 1]:
            samples[way.name].append(scenario(way))
    return samples
