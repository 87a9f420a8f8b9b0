"""Little's law on the bridge, as an experiment: both of its sides measured, each without the other."""

import statistics
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import msgspec

from lockstream.bridge.client import admin_client
from lockstream.bridge.messages import run_topic
from lockstream.contrast.pipeline.law import STAGES, Sample, Stage, Times, stages
from lockstream.contrast.pipeline.shared import Gauges, Task
from lockstream.contrast.results import Experiment, Outcome
from lockstream.contrast.rig import Rig

LOADS = {"keeps up": 0.6, "falls behind": 1.5}
"""How long the analysis takes for a step, over the interval between two."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much of it; `steps` are those of one run, the others see `Task`."""

    rounds: int
    steps: int
    warm_up: int = 20
    interval: float = 0.02
    shape: tuple[int, int] = (512, 512)  # 1 MiB
    sample_seconds: float = 0.004


QUICK = Sizes(rounds=1, steps=100)
FULL = Sizes(rounds=3, steps=500)
Found = Mapping[str, Sequence[Mapping[str, Stage]]]  # by load, by round, by stage


def run(rig: Rig) -> Experiment:
    """Measure."""
    return measured(rig, QUICK if rig.is_quick else FULL)


def measured(rig: Rig, sizes: Sizes) -> Experiment:
    """Measure each load in turn, as often as asked."""
    found: dict[str, list[Mapping[str, Stage]]] = {load: [] for load in LOADS}
    for _ in range(sizes.rounds):
        for load, share in LOADS.items():
            found[load].append(_one_run(rig, sizes, share * sizes.interval))
    return experiment(sizes, found)


def experiment(sizes: Sizes, found: Found) -> Experiment:
    """Make the experiment of what was found."""
    outcomes = [
        _outcome(
            f"{stage}, analysis {load}", quantity, unit, [_quantities(r[stage])[quantity] for r in rounds]
        )
        for load, rounds in found.items()
        for stage in STAGES
        for quantity, unit in UNITS.items()
    ]
    return Experiment(
        name="littles-law",
        title="Little's law along the pipeline",
        question="Are as many steps under way as their rate and their time demand?",
        method=f"A simulation publishes {sizes.steps} steps of {sizes.shape[0] * sizes.shape[1] * 4 / 2**20:g} MiB, "
        f"one every {sizes.interval * 1e3:g} ms; their analysis takes a random time, on average "
        + " or ".join(f"{share:g}" for share in LOADS.values())
        + " of that. L is counted by a sampler that knows no single step (gauges, and the broker's end of the log), "
        "λW comes from the times of each step (the broker's own stamp among them); "
        + ("one run of each load." if sizes.rounds == 1 else f"{sizes.rounds} runs of each load, in turn."),
        outcomes=tuple(outcomes),
        finding=f"{_where_time_goes(found)}. {_worst_ratio(outcomes)}",
    )


ALL = "all the way"
RATIO = "L over λW"
UNITS = {"L, sampled": "steps", "λ": "steps/s", "W": "s", "λW": "steps", RATIO: ""}


def _quantities(stage: Stage) -> dict[str, float]:
    arrived = stage.rate * stage.residence
    return dict(zip(UNITS, (stage.in_flight, stage.rate, stage.residence, arrived, stage.ratio), strict=True))


def _where_time_goes(found: Found) -> str:
    """Say how long a step is under way, and in which stage it is longest."""
    said = []
    for load, rounds in found.items():
        waits = {stage: _mean_residence(rounds, stage) for stage in STAGES}
        longest = max((stage for stage in STAGES if stage != ALL), key=waits.__getitem__)
        said.append(
            f"while the analysis {load}, a step is under way for {waits[ALL] * 1e3:.0f} ms, {waits[longest] * 1e3:.0f} "
            f"of them in stage {longest!r}"
        )
    return "; ".join(said).capitalize()


def _worst_ratio(outcomes: Sequence[Outcome]) -> str:
    ratios = {o.subject: o.value for o in outcomes if o.quantity == RATIO and o.value is not None}
    worst = max(ratios, key=lambda subject: max(ratios[subject], 1 / ratios[subject]))
    return (
        f"Of {len(ratios)} pairs of stage and load, L and λW are furthest apart in {worst!r}: their ratio is "
        f"{ratios[worst]:.2f}."
    )


def _mean_residence(rounds: Sequence[Mapping[str, Stage]], stage: str) -> float:
    return statistics.median(found[stage].residence for found in rounds)


def _outcome(subject: str, quantity: str, unit: str, values: Sequence[float]) -> Outcome:
    several = len(values) > 1
    return Outcome(
        subject=subject,
        quantity=quantity,
        value=statistics.median(values),
        unit=unit,
        low=min(values) if several else None,
        high=max(values) if several else None,
    )


def _one_run(rig: Rig, sizes: Sizes, analysis_seconds: float) -> Mapping[str, Stage]:
    """Have one run published, analysed and sampled."""
    task = Task(
        run=f"pipeline-{uuid.uuid4().hex[:12]}",
        servers=rig.servers,
        folder=str(rig.folder),
        steps=sizes.steps,
        warm_up=sizes.warm_up,
        interval=sizes.interval,
        analysis_seconds=analysis_seconds,
        shape=sizes.shape,
        sample_seconds=sizes.sample_seconds,
    )
    Gauges.make(task.gauges)
    limit = 60 + 3 * task.all_steps * max(task.interval, task.analysis_seconds)
    with ExitStack() as stack:
        job, analyst, sampler = (
            stack.enter_context(rig.beside(f"pipeline.{program}", msgspec.to_builtins(task)))
            for program in ("job", "analyst", "sampler")
        )
        published = job.answer(limit)
        seen, samples = analyst.answer(limit), sampler.answer(limit)
    admin, topic = admin_client(task.kafka), run_topic(task.run)
    admin.delete_topics([topic], operation_timeout=30)[topic].result(60)
    times = msgspec.convert({"published": published, **seen}, Times)
    return stages(times, msgspec.convert(samples, list[Sample]))
