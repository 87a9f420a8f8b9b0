"""Use this when: what serves a need best, decided by the figures alone."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from lockstream.contrast.experiments import coupling, crashed, late, lost_broker, replay, slow, uneven
from lockstream.contrast.report.tables import STYLES, usual
from lockstream.contrast.report.words import duration, factor, number, rate, size
from lockstream.contrast.results import Experiment, Measurement, Style, Verdict

_LIKE = 1.2  # figures that differ by less decide nothing


def verdicts(measurements: Iterable[Measurement], experiments: Iterable[Experiment]) -> tuple[Verdict, ...]:
    """Return a verdict on every need of which enough was measured."""
    plain, by_name = usual(measurements), {experiment.name: experiment for experiment in experiments}
    found = [rule.judge(plain) for rule in _EXCHANGES]
    found += [need.judge(by_name[need.experiment]) for need in _NEEDS if need.experiment in by_name]
    return tuple(verdict for verdict in found if verdict)


class _Exchange(NamedTuple):
    """A need that one figure of an exchange decides.

    The pair that is compared is the one with the fewest participants and, if `largest`, the largest size.
    """

    need: str
    pattern: str
    largest: bool
    figure: Callable[[Measurement], float | None]
    is_less_better: bool
    write: Callable[[float], str]

    def judge(self, measurements: Sequence[Measurement]) -> Verdict | None:
        figures: dict[tuple[int, int], dict[Style, float]] = {}
        for m in measurements:
            value = self.figure(m)
            if m.pattern == self.pattern and value:
                figures.setdefault((m.participants, m.nbytes), {})[m.style] = value
        complete = [key for key, pair in figures.items() if len(pair) == len(STYLES)]
        if not complete:
            return None
        fewest = min(participants for participants, _ in complete)
        key = (max if self.largest else min)(key for key in complete if key[0] == fewest)
        pair = figures[key]
        better, worse = sorted(pair, key=lambda style: pair[style], reverse=not self.is_less_better)
        apart = max(pair[better], pair[worse]) / min(pair[better], pair[worse])
        told = ", ".join(f"{STYLES[style]} {self.write(pair[style])}" for style in pair)
        return Verdict(
            need=self.need,
            use=STYLES[better] if apart >= _LIKE else "either",
            because=f"{self.pattern}, {size(key[1])}, {key[0]} participants: {told}; {factor(apart)}",
            evidence=self.pattern,
        )


_EXCHANGES = (
    _Exchange(
        "an answer from a partner, in every step",
        "point-to-point",
        False,
        lambda m: m.latency.median,
        True,
        duration,
    ),
    _Exchange(
        "a sum over all, in every step", "all-reduce", False, lambda m: m.latency.median, True, duration
    ),
    _Exchange("the same array for all", "broadcast", True, lambda m: m.latency.median, True, duration),
    _Exchange(
        "much moved between partners that run together",
        "point-to-point",
        True,
        lambda m: m.throughput.median if m.throughput else None,
        False,
        rate,
    ),
    _Exchange(
        "processors for the science, not for the moving of data",
        "point-to-point",
        True,
        lambda m: m.throughput.cpu_seconds_per_gigabyte if m.throughput else None,
        True,
        lambda value: f"{number(value)} CPU s/GB",
    ),
)


class _Need(NamedTuple):
    """A need that one quantity of an experiment decides between its subjects.

    What is less than `floor` is as good as that. Where the need is a promise, only those serve it that make it
    (`among`) and were not seen to break it, i.e. had none of the quantity: luck is no promise.
    """

    need: str
    experiment: str
    quantity: str
    is_less_better: bool
    floor: float = 0.0
    among: tuple[str, ...] = ()

    def judge(self, experiment: Experiment) -> Verdict | None:
        values = {
            o.subject: max(o.value, self.floor)
            for o in experiment.outcomes
            if o.quantity == self.quantity and o.value is not None
        }
        if not values:
            return None
        best = (min if self.is_less_better else max)(values.values())
        good = [subject for subject, value in values.items() if _alike(value, best)]
        if self.among:
            good = [subject for subject in self.among if values.get(subject) == 0] or ["nothing of these"]
        return Verdict(
            need=self.need,
            use=" or ".join(good),
            because=experiment.finding,
            evidence=experiment.name,
        )


def _alike(value: float, best: float) -> bool:
    return value == best or (min(value, best) > 0 and max(value, best) / min(value, best) < _LIKE)


_NEEDS = (
    _Need("nobody to wait for a slow one", "slow-participant", slow.SLOWDOWN, True, floor=1.0),
    _Need("the others to go on when one crashes", "crashed-participant", crashed.FINISHED, False),
    _Need("to come late and still get everything", "late-joiner", late.MISSED, True),
    _Need("to ask again for the past", "replay", replay.AGAIN, False),
    _Need("to send though nobody is there yet", "coupling-in-time", coupling.TO_SEND_LARGE, True),
    _Need("tasks of uneven length done soon", "uneven-tasks", uneven.MAKESPAN, True),
    _Need(
        "what is acknowledged to outlive a broker",
        "lost-broker",
        lost_broker.LOST,
        True,
        among=(lost_broker.SAFE,),
    ),
    _Need("a simulation and its analysis done soon", "three-ways", "time to solution", True),
    _Need(
        "an analysis that may be slow",
        "three-ways-slow-analysis",
        "slowdown of the simulation",
        True,
        floor=1.0,
    ),
    _Need("an analysis that may crash", "three-ways-crashed-analysis", "steps computed again", True),
    _Need("an analysis that comes in mid-run", "three-ways-added-analysis", "of these missed by it", True),
)
