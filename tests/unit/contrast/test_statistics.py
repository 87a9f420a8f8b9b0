import numpy as np
import pytest

from lockstream.contrast.statistics import Stream, latency, throughput


def test_of_one_sample_everything_is_that_sample() -> None:
    found = latency([[3.0]])
    assert (found.samples, found.median, found.low, found.high, found.p99) == (1, 3.0, 3.0, 3.0, 3.0)


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    covered = sum(
        found.low <= np.exp(0.0) <= found.high
        for found in (latency(random.lognormal(0.0, 1.0, (50, 1))) for _ in range(2000))
    )
    assert 0.94 <= covered / 2000 <= 0.985


def test_p99_is_a_sample_that_at_most_one_in_a_hundred_exceeds() -> None:
    samples = list(range(1000))
    found = latency([samples[:500], samples[500:]])
    assert found.p99 in samples
    assert sum(s > found.p99 for s in samples) <= 10


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        latency([])


def test_a_turn_counts_once_however_many_samples_it_has() -> None:
    found = latency([[1.0], [2.0], [9.0] * 100])
    assert (found.samples, found.turns, found.median) == (102, 3, 2.0)
    assert (found.low, found.high) == (1.0, 9.0)


def test_streams_have_a_rate_each_and_one_cost() -> None:
    seconds = (1.0, 2.0, 4.0)
    found = throughput([Stream(exchanges=5, nbytes=8, seconds=s, cpu_seconds=2.0) for s in seconds])
    assert (found.samples, found.median, found.low, found.high) == (3, 4.0, 2.0, 8.0)
    assert found.cpu_seconds_per_gigabyte == pytest.approx(6.0 / 24 * 1e9)
