"""The estimate against examples computed by hand, at its limits, and in the direction that each parameter pushes."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given as draws
from hypothesis import strategies as st

from lockstream.bridge import stream
from lockstream.bridge.errors import ConfigurationError
from lockstream.contrast import extrapolate
from lockstream.contrast.extrapolate import ScaleOut, brokers_needed, layout, scale_out
from lockstream.contrast.results import Fit, FitPoint, Style
from lockstream.contrast.ten_thousand_ranks import JOB, experiment, with_fits

HAND = ScaleOut(
    ranks=4,
    ranks_per_node=2,
    bytes_per_rank=100,
    interval=10.0,
    message_seconds=1.0,
    memory_bytes_per_second=100,
    nic_bytes_per_second=50,
    publish_seconds=0.5,
    publish_bytes_per_second=25,
    record_bytes=64,
    reader_bytes_per_second=10,
    brokers=2,
    replication=2,
    broker_nic_bytes_per_second=30,
    broker_disk_bytes_per_second=20,
)
BIG = ScaleOut(
    ranks=10_000,
    bytes_per_rank=1 << 20,
    interval=2.0,
    message_seconds=1e-6,
    memory_bytes_per_second=5e9,
    publish_seconds=2e-3,
    publish_bytes_per_second=1e9,
    reader_bytes_per_second=5e8,
)


def test_one_bridge_computed_by_hand() -> None:
    found = layout(HAND, 1)
    assert (found.message_seconds, found.memory_seconds, found.nic_seconds) == (3.0, 2.0, 4.0)
    assert (found.gather_seconds, found.publish_seconds) == (9.0, 16.5)
    assert found.cost == pytest.approx(
        0.9
    )  # the next frame comes after 10 + 9 seconds, the publisher is done by then
    assert (found.records_per_frame, found.partitions, found.frame_bytes) == (8, 4, 1600)
    assert (found.bottleneck, found.keeps_up) == ("publisher", False)


def test_one_bridge_per_node_computed_by_hand() -> None:
    found = layout(HAND, 2)
    assert (found.ranks_each, found.gather_seconds, found.publish_seconds) == (2, 3.0, 8.5)
    assert found.cost == pytest.approx(0.3)
    assert (found.records_per_frame, found.partitions) == (10, 4)


def test_a_publisher_that_takes_longer_than_an_interval_sets_the_pace() -> None:
    assert layout(replace(HAND, publish_bytes_per_second=10), 1).cost == pytest.approx(40.5 / 10 - 1)


def test_brokers_computed_by_hand() -> None:
    assert brokers_needed(HAND) == 4  # 40 B/s written twice, at 20 each
    assert (
        brokers_needed(replace(HAND, broker_disk_bytes_per_second=inf, readers=5)) == 8
    )  # 40 * (1 + 5) / 30
    assert brokers_needed(replace(HAND, bytes_per_rank=1)) == HAND.replication


def test_the_fewest_bridges_keep_up_and_one_less_does_not() -> None:
    found = scale_out(BIG)
    assert found.fewest is not None
    assert found.fewest.keeps_up
    assert 1 < found.fewest.bridges < BIG.nodes
    assert not layout(BIG, found.fewest.bridges - 1).keeps_up


def test_most_ranks_can_be_carried_and_one_more_cannot() -> None:
    most = scale_out(BIG).most_ranks
    assert layout(replace(BIG, ranks=most), 1).keeps_up
    assert not layout(replace(BIG, ranks=most + 1), 1).keeps_up


def test_where_nothing_takes_time_any_number_is_carried() -> None:
    free = replace(BIG, message_seconds=0, publish_seconds=0, memory_bytes_per_second=inf, nic_bytes_per_second=inf,
                   publish_bytes_per_second=inf)  # fmt: skip
    found = scale_out(free)
    assert (found.one.cost, found.most_ranks) == (0, 1 << 40)
    assert "any number of ranks" in experiment(found).finding


def test_where_a_rank_alone_is_too_much_nobody_is_carried() -> None:
    found = scale_out(replace(BIG, publish_seconds=3.0))
    assert (found.most_ranks, found.fewest) == (0, None)
    assert "not even one rank" in experiment(found).finding
    assert "frames must become rarer or smaller" in experiment(found).finding


def test_a_job_on_one_node_has_one_layout() -> None:
    found = scale_out(replace(BIG, ranks=100))
    assert found.one == found.per_node
    assert found.one.nic_seconds == 0


WORSE = ("ranks", "bytes_per_rank", "message_seconds", "publish_seconds")
BETTER = ("interval", "memory_bytes_per_second", "nic_bytes_per_second", "publish_bytes_per_second")


@draws(st.sampled_from(WORSE), st.integers(2, 50), st.integers(1, 79))
def test_more_of_what_costs_never_costs_less(name: str, factor: int, bridges: int) -> None:
    more = replace(BIG, **{name: getattr(BIG, name) * factor})
    assert layout(more, bridges).cost >= layout(BIG, bridges).cost


@draws(st.sampled_from(BETTER), st.integers(2, 50), st.integers(1, 79))
def test_more_of_what_helps_never_costs_more(name: str, factor: int, bridges: int) -> None:
    more = replace(BIG, **{name: getattr(BIG, name) * factor})
    assert layout(more, bridges).cost <= layout(BIG, bridges).cost + 1e-12


@draws(st.integers(1, 78))
def test_one_more_bridge_never_costs_more(bridges: int) -> None:
    assert layout(BIG, bridges + 1).cost <= layout(BIG, bridges).cost


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ranks", 0, "must be more than 0"),
        ("interval", -1.0, "must be more than 0"),
        ("message_seconds", -1.0, "must be 0 or more"),
        ("nic_bytes_per_second", float("nan"), "must be more than 0"),
        ("replication", 4, "there are only 3 brokers"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: float, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} = .*{problem}"):
        replace(BIG, **{name: value})


def fit(pattern: str, style: Style, participants: int, alpha: float, beta: float, *sizes: int) -> Fit:
    points = tuple(FitPoint(nbytes=n, measured=1.0, predicted=1.0) for n in sizes)
    return Fit(pattern=pattern, style=style, participants=participants, alpha=alpha, beta=beta, points=points,
               held_out=(), worst_factor=1.0)  # fmt: skip


FITS = (
    fit("gather", "mpi", 3, 2e-6, 4e-10, 1, 1 << 26),
    fit("gather", "mpi", 2, 9.0, 9.0, 1, 1 << 26),
    fit("gather", "mpi", 4, 9.0, 9.0, 1, 1 << 26),  # take turns on three cores
    fit("gather", "kafka", 3, 9.0, 9.0, 1, 1 << 26),
    fit("point-to-point", "kafka", 2, 9.0, 2e-9, 1 << 10, 1 << 26),
    fit("point-to-point", "kafka", 2, 3e-3, 9.0, 1, 1 << 10),
)


def test_alpha_is_that_of_small_messages_beta_that_of_large_ones_of_the_most_that_had_a_core() -> None:
    found = with_fits(FITS, 3, **JOB, readers=2)
    assert (found.message_seconds, found.publish_seconds) == (1e-6, 3e-3)
    assert found.memory_bytes_per_second == pytest.approx(5e9)
    assert found.publish_bytes_per_second == pytest.approx(5e8)
    assert (found.ranks, found.readers) == (10_000, 2)
    assert with_fits(FITS, 3, **JOB, message_seconds=5e-6).message_seconds == 5e-6


def test_fits_that_are_not_there_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"point-to-point in kafka.*was not measured"):
        with_fits(FITS[:4], 3, **JOB)


def test_the_sentence_follows_from_the_figures() -> None:
    text = experiment(scale_out(BIG)).finding
    assert "mostly by its publisher" in text
    assert f"{scale_out(BIG).most_ranks} ranks at most" in text
    assert "no more are needed" in experiment(scale_out(replace(BIG, ranks=500))).finding


def test_a_bridge_has_as_many_slots_as_are_counted() -> None:
    assert extrapolate.SLOTS == stream.SLOTS
