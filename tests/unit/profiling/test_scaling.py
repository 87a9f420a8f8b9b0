"""Scaling: what is put into made-up measurements is found in them."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import wait_until

from lockstream.bridge.errors import ConfigurationError, UserError
from lockstream.cli.scaling import parse_ranks
from lockstream.profiling.results import Machine
from lockstream.profiling.scaling.analysis import Analysis, analyse
from lockstream.profiling.scaling.fits import (
    amdahl,
    fit_amdahl,
    fit_constant_and_shared,
    fit_growth,
    fit_gustafson,
    gustafson,
    interval,
    karp_flatt,
)
from lockstream.profiling.scaling.measure import Plan, RunFailed, run_to_end
from lockstream.profiling.scaling.plot import draw_scaling
from lockstream.profiling.scaling.report import finding, points_table, warnings_about, write_report
from lockstream.profiling.scaling.results import Part, Sample, Scaling, read_scaling

RANKS = [1, 2, 3, 4, 8]


@given(st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_a_serial_fraction_is_found_again(fraction: float) -> None:
    assert fit_amdahl(RANKS, amdahl(fraction, np.array(RANKS)).tolist()) == pytest.approx(fraction, abs=1e-6)
    assert fit_gustafson(RANKS, gustafson(fraction, np.array(RANKS)).tolist()) == pytest.approx(
        fraction, abs=1e-9
    )
    for ranks in RANKS[1:]:
        assert karp_flatt(float(amdahl(fraction, ranks)), ranks) == pytest.approx(fraction, abs=1e-9)


def test_the_fit_is_the_least_of_all_squares() -> None:
    speedups = [1.0, 1.7, 2.6, 2.4, 4.1]
    found = fit_amdahl(RANKS, speedups)
    errors = [((amdahl(f, np.array(RANKS)) - speedups) ** 2).sum() for f in (found, *np.linspace(0, 1, 1001))]
    assert errors[0] <= min(errors[1:])


def test_times_fall_into_a_constant_and_a_shared_part() -> None:
    seconds = [0.3 + 2 / p for p in RANKS]
    assert fit_constant_and_shared(RANKS, seconds) == pytest.approx((0.3, 2))
    assert fit_growth(RANKS, [1 + 0.25 * (p - 1) for p in RANKS]) == pytest.approx((1, 0.25))


def test_parts_add_up_to_the_fit_of_the_sum() -> None:
    random = np.random.default_rng(1)
    phases = random.random((3, len(RANKS)))
    each = np.array([fit_constant_and_shared(RANKS, phase.tolist()) for phase in phases])
    assert each.sum(axis=0) == pytest.approx(fit_constant_and_shared(RANKS, phases.sum(axis=0).tolist()))


def test_an_interval_holds_the_truth_and_takes_some_rounds() -> None:
    random = np.random.default_rng(2)
    speedups = amdahl(0.1, np.array(RANKS)) * random.normal(1, 0.02, (9, len(RANKS)))

    def fraction(some: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
        return fit_amdahl(RANKS, np.median(some, axis=0).tolist())

    spread = interval(speedups, fraction)
    assert spread is not None
    assert 0.05 < spread[0] <= 0.1 <= spread[1] < 0.15
    assert spread[0] < spread[1]
    assert interval(speedups[:2], fraction) is None


def made_up(ranks: list[int], rounds: int = 7, noise: float = 0.01, growth: float = 0.0) -> list[Sample]:
    """Compute shrinks with the ranks, gather does not: a serial fraction of 0.1 / 1.1; `growth` per rank for weak."""
    random = np.random.default_rng(3)
    samples = []
    for n in range(rounds):
        for p in ranks:
            compute = 1.0 if growth else 1.0 / p
            path = {"compute": compute, "gather": 0.1 + growth * (p - 1), "halo": 0.0, "other": 0.01 / p}
            path = {name: value * float(random.normal(1, noise)) for name, value in path.items()}
            samples.append(Sample(ranks=p, round=n, seconds=sum(path.values()), path=path, mean=path))
    return samples


def test_the_culprit_of_a_strong_scaling_is_the_phase_that_does_not_shrink() -> None:
    found = analyse(made_up([1, 2, 4]), cores=8, is_weak=False)
    assert found.culprit == "gather"
    assert found.fraction == pytest.approx(0.1 / 1.11, abs=0.02)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.fraction <= found.high
    parts = {part.name: part for part in found.parts}
    assert list(parts) == ["compute", "gather", "other"]  # nobody was in halo
    assert parts["gather"].constant == pytest.approx(0.1, abs=0.01)
    assert parts["compute"].variable == pytest.approx(1, abs=0.05)
    fractions = [point.serial_fraction for point in found.points]
    assert fractions[0] is None
    assert fractions[1:] == pytest.approx([0.09, 0.09], abs=0.02)


def test_the_culprit_of_a_weak_scaling_is_the_phase_that_grows() -> None:
    found = analyse(made_up([1, 2, 4], growth=0.05), cores=8, is_weak=True)
    assert found.culprit == "gather"
    assert {part.name: part.constant for part in found.parts}["gather"] == pytest.approx(0.05, abs=0.01)
    assert [point.speedup for point in found.points] == pytest.approx(
        [1, 2 * 1.11 / 1.16, 4 * 1.11 / 1.26], rel=0.03
    )


def test_where_all_shrinks_there_is_no_culprit() -> None:
    samples = [Sample(ranks=p, round=0, seconds=1 / p, path={"compute": 1 / p}, mean={}) for p in (1, 2, 4)]
    found = analyse(samples, cores=8, is_weak=False)
    assert (found.culprit, found.low, found.high) == ("", None, None)
    assert found.fraction == pytest.approx(0, abs=1e-6)


def test_ranks_that_share_cores_are_left_out_of_the_fit() -> None:
    samples = made_up([1, 2, 4], noise=0)
    slow = [
        Sample(ranks=s.ranks, round=s.round, seconds=5, path=s.path, mean=s.mean) if s.ranks == 4 else s
        for s in samples
    ]
    few, many = (analyse(some, cores=2, is_weak=False) for some in (samples, slow))
    assert [point.is_fitted for point in many.points] == [True, True, False]
    assert many.fraction == few.fraction
    assert analyse(slow, cores=8, is_weak=False).fraction > many.fraction
    alone = analyse(made_up([1, 4]), cores=2, is_weak=False)
    assert [point.is_fitted for point in alone.points] == [True, True]


def scaling(found: Analysis, samples: list[Sample], *, is_weak: bool = False) -> Scaling:
    return Scaling(
        date="2026-11-28",
        machine=Machine(processor="x", cores=2, system="x", python="3", load=0),
        is_weak=is_weak,
        command="lockstream scaling",
        model="heat",
        shape=(8, 8),
        steps=5,
        every=1,
        is_streaming=True,
        rounds=5,
        warnings=(),
        samples=tuple(samples),
        **found._asdict(),
    )


def test_a_report_says_what_was_found_and_is_read_again(tmp_path: Path) -> None:
    samples = made_up([1, 2, 4])
    whole = scaling(analyse(samples, cores=2, is_weak=False), samples)
    told = write_report(tmp_path, whole)
    assert read_scaling(tmp_path / "report.json") == whole
    assert told[0].startswith("| ranks | seconds | speed-up |")
    for page in ("report.md", "report.html"):
        assert "▸ gather" in (tmp_path / page).read_text()
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert "Most of it comes from gather: 0.1" in " ".join(finding(whole))
    assert [row[-1] for row in points_table(whole).rows] == ["yes", "yes", "no"]
    left, right = draw_scaling(whole).axes
    assert {"ideal", "95 % interval"} <= set(left.get_legend_handles_labels()[1])
    heights = [sum(bars[n].get_height() for bars in right.containers) for n in range(3)]
    assert heights == pytest.approx([sum(part.seconds[n] for part in whole.parts) for n in range(3)])


def test_a_slowdown_is_said_to_be_outside_of_the_law() -> None:
    samples = [Sample(ranks=p, round=0, seconds=p, path={"halo": float(p)}, mean={}) for p in (1, 2)]
    told = " ".join(finding(scaling(analyse(samples, cores=2, is_weak=False), samples)))
    assert "2 ranks were slower than one" in told


def plan(
    ranks: tuple[int, ...] = (1, 2), *, is_weak: bool = False, is_streaming: bool = False, **more: object
) -> Plan:
    given: dict[str, object] = {
        "config": Path("run.toml"),
        "overrides": (),
        "rounds": 1,
        "timeout": 60.0,
    } | more
    return Plan(ranks=ranks, is_weak=is_weak, is_streaming=is_streaming, **given)  # type: ignore[arg-type]


def test_more_ranks_than_cores_and_a_busy_machine_are_warned_of() -> None:
    points = analyse(made_up([1, 2, 4]), cores=2, is_weak=False).points
    quiet = warnings_about(plan(), 8, 0.1, analyse(made_up([1, 2]), cores=8, is_weak=False).points)
    assert quiet == []
    (shared,) = warnings_about(plan(), 2, 0.1, points)
    assert shared.startswith("4 ranks share 2 cores: that is oversubscription")
    assert "left out of the fit" in shared
    streaming = warnings_about(plan(is_streaming=True), 2, 0.1, points)
    assert "no core of its own" in streaming[1]
    assert "load 3.0" in warnings_about(plan(), 2, 3, points)[-1]


TOML = """
[run]
id = "x"
model = "heat"
steps = 4
[domain]
shape = [6, 8]
"""


def test_the_domain_grows_for_weak_scaling_alone(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text(TOML)
    assert plan(config=config).configuration(3).domain.shape == (6, 8)
    assert plan(config=config, is_weak=True).configuration(3).domain.shape == (18, 8)
    smaller = plan(config=config, is_weak=True, overrides=("domain.shape=[2, 8]",))
    assert smaller.configuration(3).domain.shape == (6, 8)
    command = smaller.command(3, "x-1", tmp_path)
    assert "domain.shape=[6, 8]" in command
    assert command[-1] == "--no-stream"
    assert "--no-stream" not in plan(config=config, is_streaming=True).command(1, "x", tmp_path)


def test_a_plan_that_cannot_be_is_refused() -> None:
    for ranks in ((1,), (2, 4), (0, 1)):
        with pytest.raises(ConfigurationError, match="--ranks"):
            plan(ranks)
    with pytest.raises(ConfigurationError, match="--rounds"):
        plan(rounds=0)
    assert parse_ranks("4, 1,2,2") == (1, 2, 4)
    for text in ("", "1,x", "1;2", "1,-2", "1.5"):
        with pytest.raises(ConfigurationError, match="--ranks"):
            parse_ranks(text)


def test_a_run_that_fails_shows_what_it_said_and_one_that_hangs_is_ended() -> None:
    with pytest.raises(RunFailed, match=r"exit code 1:\n  alas"):
        run_to_end(["sh", "-c", "echo alas >&2; exit 1"], 30)
    with pytest.raises(UserError, match="exit code 2"):
        run_to_end(["sh", "-c", "exit 2"], 30)
    with pytest.raises(RunFailed, match=r"did not end within 0\.2 s"):
        run_to_end(["sleep", "60"], 0.2)


def test_who_is_told_to_end_leaves_no_run_behind(tmp_path: Path) -> None:
    pid, before = tmp_path / "pid", signal.getsignal(signal.SIGTERM)

    def tell() -> None:
        wait_until(lambda: pid.exists() and signal.getsignal(signal.SIGTERM) != before)
        os.kill(os.getpid(), signal.SIGTERM)

    teller = threading.Thread(target=tell)
    teller.start()
    with pytest.raises(SystemExit) as left:
        run_to_end(["sh", "-c", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60"], 50)
    teller.join(10)
    assert (left.value.code, signal.getsignal(signal.SIGTERM)) == (143, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(("high", "is_rival"), [(0.2, True), (0.09, False)])
def test_a_phase_that_may_cost_as_much_is_named_too(high: float, is_rival: bool) -> None:
    parts = (
        Part(name="compute", seconds=(1.0, 0.7), constant=0.2, low=0.1, high=0.3, variable=0.8),
        Part(name="halo", seconds=(0.1, 0.1), constant=0.08, low=0.05, high=high, variable=0.0),
    )
    samples = made_up([1, 2])
    found = analyse(samples, cores=2, is_weak=False)._replace(parts=parts, culprit="compute")
    told = " ".join(finding(scaling(found, samples)))
    assert ("do not rule out that it is halo" in told) == is_rival
