"""From figures of single runs to experiments whose sentences say what the figures say."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from lockstream.contrast.hybrid.frames_mpi import IN_FLIGHT
from lockstream.contrast.hybrid.scenarios import Figures
from lockstream.contrast.hybrid.workflow import Plan
from lockstream.contrast.results import Experiment, Outcome

Samples = Mapping[str, Sequence[Figures]]  # by way, one per round
WAITS = 1.5  # so many times its usual time a simulation takes that is kept waiting


def solution(plan: Plan, samples: Samples) -> Experiment:
    """Make the experiment of who computes how fast."""
    found = _medians(samples)
    step, whole = (
        {way: figures[name] for way, figures in found.items()}
        for name in ("time per step", "time to solution")
    )
    same = {way: figures["frames as in a serial run"] == plan.frames for way, figures in found.items()}
    first, last = min(step, key=lambda way: step[way]), max(step, key=lambda way: step[way])
    equality = (
        f"All {plan.frames} frames are those of a serial run, bit for bit"
        if all(same.values())
        else f"The frames of {_named(w for w in same if not same[w])} are not those of a serial run"
    )
    return Experiment(
        name="three-ways",
        title="One workflow, three ways",
        question="How long does the same workflow take, and does it find the same?",
        method=f"{_described(plan)}, as fast as it goes; {_rounds(samples)}.",
        outcomes=_outcomes(samples, {"time to solution": "s", "time per step": "s"}, "frames"),
        finding=f"A step takes {step[first] * 1e3:.2g} ms with {first} and {step[last] / step[first]:.1f} times as "
        f"long with {last}; the last result is there after {_each(whole, '.2f', ' s')}. {equality}.",
    )


def slow(plan: Plan, samples: Samples) -> Experiment:
    """Make the experiment of an analysis that is too slow."""
    found = _medians(samples)
    slowdown = {way: figures["slowdown of the simulation"] for way, figures in found.items()}
    left = {way: figures["frames left when the simulation ended"] for way, figures in found.items()}
    # A simulation that is slow by itself may end no earlier than its analysis, and was not kept waiting by it.
    waiting = [way for way in left if left[way] <= IN_FLIGHT and slowdown[way] >= WAITS]
    interval = plan.pace * plan.every
    return Experiment(
        name="three-ways-slow-analysis",
        title="An analysis that is too slow",
        question="What does it cost the simulation?",
        method=f"{_described(plan)}, a frame every {interval * 1e3:.0f} ms at best; the analysis takes "
        f"{plan.analysis_seconds * 1e3:.0f} ms for each; {_rounds(samples)}.",
        outcomes=_outcomes(
            samples,
            {
                "simulation beside a quick analysis": "s",
                "simulation beside the slow one": "s",
                "slowdown of the simulation": "",
                "until the last frame is analysed": "s",
            },
            "frames",
        ),
        finding=f"With an analysis that takes {plan.analysis_seconds / interval:.1f} times the interval between "
        f"frames the simulation takes {_each(slowdown, '.1f', ' times as long')}, and when it ends there are still to "
        f"be analysed {_each(left, '.0f', '')} of {plan.frames} frames: kept waiting by {_named(waiting)}.",
    )


def crashed(plan: Plan, samples: Samples) -> Experiment:
    """Make the experiment of an analysis that is killed."""
    found = _medians(samples)
    finished = [way for way, figures in found.items() if figures["simulation finished"] == 1]
    died = {way: figures for way, figures in found.items() if way not in finished}
    again = {way: figures["steps computed again"] for way, figures in died.items()}
    left = {way: figures["frames analysed after the repair"] for way, figures in found.items()}
    complete = [way for way in left if left[way] == plan.frames]
    deaths = f", and died with it in {_named(died)} (steps to be computed again: {_each(again, '.0f', '')})"
    return Experiment(
        name="three-ways-crashed-analysis",
        title="An analysis that crashes",
        question="Does the simulation go on, and can the analysis be completed?",
        method=f"{_described(plan)}, a step every {plan.pace * 1e3:.0f} ms; the analysis gets SIGKILL while it has "
        f"frame {plan.crash_at}. When nothing goes on any more, it is repaired with what is least: the analysis is "
        f"started again, or the whole job; {_rounds(samples)}.",
        outcomes=_outcomes(
            samples,
            {"simulation finished": "", "steps computed again": "steps", "time of the repair": "s"},
            "frames",
        ),
        finding=f"The simulation outlived its analysis in {_named(finished)}{deaths if died else ''}. After the "
        f"repair all {plan.frames} frames are analysed in {_named(complete)}.",
    )


def added(plan: Plan, samples: Samples) -> Experiment:
    """Make the experiment of an analysis that comes in mid-run."""
    found = _medians(samples)
    past = {way: figures["frames published before it came"] for way, figures in found.items()}
    parts = {
        way: f"{past[way] - figures['of these missed by it']:.0f} of {past[way]:.0f}"
        for way, figures in found.items()
    }
    return Experiment(
        name="three-ways-added-analysis",
        title="An analysis that comes in mid-run",
        question="What does it see of what was before it?",
        method=f"{_described(plan)}, a step every {plan.pace * 1e3:.0f} ms; another analysis is started when the first "
        "one has its first results. In all MPI the simulation was written to look for it at each frame and starts it "
        f"itself (MPI_Comm_spawn); {_rounds(samples)}.",
        outcomes=_outcomes(samples, {"until its first result": "s"}, "frames"),
        finding="Of the frames that were published before it came it gets "
        + ", ".join(f"{part} in {way}" for way, part in parts.items())
        + f"; of all {plan.frames} "
        + _each({way: f["frames analysed by it"] for way, f in found.items()}, ".0f", "")
        + ".",
    )


def _outcomes(samples: Samples, units: Mapping[str, str], usual: str) -> tuple[Outcome, ...]:
    """Return the median of each figure, with its range if it was measured more than once."""
    return tuple(
        Outcome(
            subject=way,
            quantity=quantity,
            value=statistics.median(values),
            unit=units.get(quantity, usual),
            low=min(values) if len(values) > 1 else None,
            high=max(values) if len(values) > 1 else None,
        )
        for way, rounds in samples.items()
        for quantity in rounds[0]
        for values in [[figures[quantity] for figures in rounds]]
    )


def _medians(samples: Samples) -> dict[str, dict[str, float]]:
    return {
        way: {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}
        for way, rounds in samples.items()
    }


def _described(plan: Plan) -> str:
    return (
        f"Heat on a periodic grid of {plan.rows} x {plan.columns}, {plan.workers} workers, {plan.steps} steps, "
        f"every {plan.every}th analysed"
    )


def _rounds(samples: Samples) -> str:
    count = len(next(iter(samples.values())))
    return "each way once" if count == 1 else f"median and range of {count} runs of each way, in turn"


def _each(values: Mapping[str, float], form: str, unit: str) -> str:
    return ", ".join(f"{value:{form}}{unit} ({way})" for way, value in values.items())


def _named(ways: Iterable[str]) -> str:
    return ", ".join(ways) or "none of them"
