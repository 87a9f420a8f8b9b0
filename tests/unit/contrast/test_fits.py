"""Hockney's model finds the line that made the times, and says where there is none."""

import pytest

from lockstream.contrast.fits import hockney
from lockstream.contrast.results import Latency, Measurement, Style

SIZES = [1, 64, 1 << 10, 1 << 13, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26]


def measured(times: dict[int, float], style: Style = "mpi", dimension: str = "") -> list[Measurement]:
    return [
        Measurement(
            pattern="broadcast",
            style=style,
            nbytes=nbytes,
            participants=2,
            latency=Latency(samples=9, turns=9, median=time, low=time, high=time, p99=time),
            dimension=dimension,
        )
        for nbytes, time in times.items()
    ]


def test_a_line_is_found_and_predicts_what_was_held_out() -> None:
    (fit,) = hockney(measured({n: 2e-6 + n / 4e9 for n in SIZES}))
    assert (fit.alpha, fit.beta) == pytest.approx((2e-6, 1 / 4e9))
    assert fit.worst_factor == pytest.approx(1)
    assert fit.held_out == (64, 1 << 13, 1 << 18, 1 << 22)
    assert (fit.smallest, fit.largest) == (1, 1 << 26)
    assert [point.nbytes for point in fit.points] == SIZES


def test_a_slow_start_does_not_drown_in_large_messages() -> None:
    """Least squares of absolute errors would give away the microseconds for the milliseconds."""
    off = {n: (2e-6 + n / 4e9) * (1.1 if i % 4 else 0.9) for i, n in enumerate(SIZES)}
    (fit,) = hockney(measured(off))
    assert fit.alpha == pytest.approx(2e-6, rel=0.2)
    assert 1 < fit.worst_factor < 1.4


@pytest.mark.parametrize(
    ("times", "zero"),
    [
        ({1: 3e-3, 1 << 10: 2e-3, 1 << 20: 1e-3}, "beta"),
        ({1 << 10: 1e-6, 1 << 15: 4e-5, 1 << 20: 2e-3}, "alpha"),
    ],
)
def test_no_parameter_is_negative(times: dict[int, float], zero: str) -> None:
    (fit,) = hockney(measured(times))
    assert getattr(fit, zero) == 0
    assert fit.alpha + fit.beta > 0


def test_a_sensible_break_gives_two_lines_that_meet_at_a_size() -> None:
    times = {n: 1e-6 + n / 1e9 if n <= 1 << 16 else 2e-2 + n / 1e9 for n in SIZES}
    small, large = hockney(measured(times))
    assert small.largest == large.smallest
    assert (small.smallest, large.largest) == (1, 1 << 26)
    assert small.alpha == pytest.approx(1e-6, rel=0.01)
    assert set(small.held_out) | set(large.held_out) == {64, 1 << 13, 1 << 18, 1 << 22}
    assert not set(small.held_out) & set(large.held_out)


def test_the_worst_factor_is_that_of_what_was_held_out() -> None:
    times = dict.fromkeys(SIZES[:5], 0.001) | {SIZES[1]: 1.5e-3}
    (fit,) = hockney(measured(times))
    assert fit.worst_factor == pytest.approx(1.5)


def test_styles_are_apart_and_settings_are_left_out() -> None:
    line = {n: 1e-3 + n / 1e9 for n in SIZES}
    fits = hockney([*measured(line), *measured(line, "kafka"), *measured(line, "kafka", "acks")])
    assert [(fit.style, len(fit.points)) for fit in fits] == [("kafka", len(SIZES)), ("mpi", len(SIZES))]


def test_two_sizes_are_too_few_to_hold_one_out() -> None:
    assert hockney(measured({1: 1e-3, 1024: 2e-3})) == ()


def test_where_two_lines_could_not_be_wrong_there_is_one() -> None:
    """Two points make a line whatever they are."""
    times = {n: 1e-6 + n / 1e9 if n <= 1 << 16 else 2e-2 + n / 1e9 for n in SIZES[::2]}
    (fit,) = hockney(measured(times))
    assert fit.worst_factor > 2
