"""Little's law holds for queues that are made here, and the arithmetic notices where it cannot."""

import numpy as np
import pytest

from lockstream.contrast.pipeline.experiment import QUICK, experiment
from lockstream.contrast.pipeline.law import STAGES, Sample, Stage, Times, stages

STEPS = 2000


def queue(service: float) -> Times:
    """Steps that come every second, are in the log soon, and are analysed one after the other."""
    random = np.random.default_rng(11)
    published = 1000.0 + np.arange(STEPS)
    logged = np.maximum.accumulate(published + random.exponential(0.2, STEPS))
    begun, done, free = [], [], 0.0
    for ready, takes in zip(logged, random.exponential(service, STEPS), strict=True):
        begun.append(max(ready, free))
        free = begun[-1] + takes
        done.append(free)
    return Times(
        published=tuple(published.tolist()),
        logged=tuple(logged.tolist()),
        begun=tuple(begun),
        done=tuple(done),
    )


def sampled(times: Times, moments: np.ndarray) -> list[Sample]:
    counts = (
        np.searchsorted(getattr(times, name), moments, side="right") for name in times.__struct_fields__
    )
    return [Sample(*row) for row in np.column_stack([moments, *counts]).tolist()]


@pytest.mark.parametrize("service", [0.6, 1.5], ids=["keeps up", "falls behind"])
def test_what_is_sampled_at_random_is_what_rate_and_time_demand(service: float) -> None:
    times = queue(service)
    moments = np.sort(np.random.default_rng(12).uniform(900, times.done[-1] + 100, 20_000))
    found = stages(times, sampled(times, moments))
    assert list(found) == list(STAGES)
    for stage in found.values():
        assert stage.ratio == pytest.approx(1, abs=0.03)
    parts = [stage for name, stage in found.items() if name != "all the way"]
    assert sum(stage.in_flight for stage in parts) == pytest.approx(found["all the way"].in_flight)
    assert sum(stage.residence for stage in parts) == pytest.approx(found["all the way"].residence)


def test_samples_that_are_rare_when_much_is_under_way_do_not_count_less() -> None:
    times = queue(1.5)
    early = np.arange(1000.0, 1500.0, 0.05)
    late = np.arange(1500.0, times.done[-1], 2.0)
    found = stages(times, sampled(times, np.concatenate([early, late])))
    assert found["all the way"].ratio == pytest.approx(1, abs=0.01)


def test_a_stage_that_is_counted_wrongly_is_noticed() -> None:
    times = queue(0.6)
    wrong = [Sample(s.at, s.published + 1, s.logged, s.begun, s.done)
             for s in sampled(times, np.arange(1000.5, times.done[-1], 0.1))]  # fmt: skip
    assert stages(times, wrong)["publisher"].ratio > 2


def test_a_hand_computed_example() -> None:
    """Two steps of 2 s each in 4 s: half a step per second, for two seconds, so one at a time."""
    times = Times(published=(0.0, 2.0), logged=(0.5, 2.5), begun=(1.0, 3.0), done=(2.0, 4.0))
    found = stages(times, sampled(times, np.arange(0.001, 4.0, 0.001)))
    assert found["all the way"] == (pytest.approx(1, abs=0.01), 0.5, 2.0)
    assert found["publisher"] == (pytest.approx(0.25, abs=0.01), 0.5, 0.5)


def test_without_steps_or_samples_there_is_nothing_to_say() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        stages(Times(published=(), logged=(), begun=(), done=()), [])
    with pytest.raises(ValueError, match="none of 1 samples"):
        stages(queue(0.6), [Sample(1.0, 0, 0, 0, 0)])


def test_the_sentence_names_the_longest_stage_and_the_worst_ratio() -> None:
    good, long = Stage(1.0, 10.0, 0.1), Stage(5.5, 10.0, 0.5)
    found = {"publisher": good, "log": good, "analysis": long, "all the way": Stage(7.0, 10.0, 0.7)}
    text = experiment(QUICK, {"keeps up": [found]}).finding
    assert (
        "While the analysis keeps up, a step is under way for 700 ms, 500 of them in stage 'analysis'" in text
    )
    assert "furthest apart in 'analysis, analysis keeps up': their ratio is 1.10" in text
