import numpy as np
import pytest

from lockstream.contrast.statistics import latency


def test_of_one_sample_everything_is_that_sample() -> None:
    found = latency([3.0])
    assert (found.samples, found.median, found.low, found.high, found.p99) == (1, 3.0, 3.0, 3.0, 3.0)


def test_the_interval_covers_the_true_median_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    covered = sum(
        found.low <= np.exp(0.0) <= found.high
        for found in (latency(random.lognormal(0.0, 1.0, 50)) for _ in range(2000))
    )
    assert 0.94 <= covered / 2000 <= 0.985


def test_p99_is_a_sample_that_at_most_one_in_a_hundred_exceeds() -> None:
    samples = list(range(1000))
    found = latency(samples)
    assert found.p99 in samples
    assert sum(s > found.p99 for s in samples) <= 10


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        latency([])
