"""The estimate for ten thousand ranks as an experiment, from the fits of this machine."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lockstream.bridge.errors import ConfigurationError
from lockstream.contrast.extrapolate import Estimate, Layout, ScaleOut
from lockstream.contrast.results import Experiment, Fit, Outcome, Style

JOB: Mapping[str, Any] = {
    "ranks": 10_000,
    "bytes_per_rank": 1 << 20,
    "interval": 10.0,
    "reader_bytes_per_second": 250e6,
}
"""A job to speak of; nobody has measured it."""


def with_fits(fits: Sequence[Fit], cores: int, **job: Any) -> ScaleOut:
    """Describe a job by what was measured, gathering in MPI and publishing to Kafka, and by what is given.

    Parameters
    ----------
    fits, cores
        Of the machine where they were measured.
    job
        All other parameters of `ScaleOut`, e.g. ``**JOB``; those that are measured may be given, too.

    Notes
    -----
    A gather among p ranks has p - 1 messages at its root, each of which costs alpha / (p - 1) and comes in at
    (p - 1) / beta. Where two fits divide the sizes between them, alpha is that of the smaller messages and beta that of
    the larger ones. Of several numbers of participants the largest counts that had a core each: what ranks need that
    take turns says nothing of a job whose ranks do not.

    Raises
    ------
    ConfigurationError
        If one of them was not measured.
    """
    free = [fit for fit in fits if fit.participants <= cores]
    small, large = _fits(free, "gather", "mpi")
    brief, bulk = _fits(free, "point-to-point", "kafka")
    senders = small.participants - 1
    measured = {
        "message_seconds": small.alpha / senders,
        "memory_bytes_per_second": senders / large.beta if large.beta else math.inf,
        "publish_seconds": brief.alpha,
        "publish_bytes_per_second": 1 / bulk.beta if bulk.beta else math.inf,
    }
    return ScaleOut(**{**measured, **job})


def _fits(fits: Sequence[Fit], pattern: str, style: Style) -> tuple[Fit, Fit]:
    """Return the fit of the smallest messages and that of the largest; often they are one."""
    found = [fit for fit in fits if (fit.pattern, fit.style) == (pattern, style) and fit.points]
    if not found:
        raise ConfigurationError(
            "fits", f"{pattern} in {style}", "was not measured; run 'lockstream contrast' first"
        )
    most = max(fit.participants for fit in found)
    by_size = sorted((f for f in found if f.participants == most), key=lambda fit: fit.points[-1].nbytes)
    return by_size[0], by_size[-1]


def experiment(estimate: Estimate) -> Experiment:
    """Make the experiment of an estimate; its figures are computed, not measured, and it says so."""
    given = estimate.given
    layouts = {"one bridge": estimate.one, "one bridge per node": estimate.per_node}
    if estimate.fewest is not None:
        layouts["as few bridges as keep up"] = estimate.fewest
    return Experiment(
        name="ten-thousand-ranks",
        title=f"On {given.ranks} ranks",
        question="Can one rank gather and one publisher publish for all, and if not, who can?",
        method=f"Computed, not measured: {given.ranks} ranks on {given.nodes} nodes, {_mib(given.bytes_per_rank)} of "
        f"each per frame, {given.interval:g} s from frame to frame. A message costs "
        f"{given.message_seconds * 1e6:.3g} µs, memory takes {_rate(given.memory_bytes_per_second)}, a publisher "
        f"{_rate(given.publish_bytes_per_second)}, a node's NIC {_rate(given.nic_bytes_per_second)}, a broker's disk "
        f"{_rate(given.broker_disk_bytes_per_second)}; {given.replication} replicas, {given.readers} to read it at "
        f"{_rate(given.reader_bytes_per_second)} per partition, at most {given.tolerance:.0%} may be lost to it.",
        outcomes=tuple(outcome for name, found in layouts.items() for outcome in _outcomes(name, found)),
        finding=f"One bridge adds {estimate.one.cost:.1%} to the time from frame to frame, mostly by its "
        f"{estimate.one.bottleneck}; it can carry {_ranks(estimate.most_ranks)}. {_cure(estimate)} Kafka needs "
        f"{estimate.brokers_needed} brokers for {_rate(given.bytes_per_second)}.",
    )


def _outcomes(subject: str, found: Layout) -> tuple[Outcome, ...]:
    figures: tuple[tuple[str, float, str], ...] = (
        ("bridges", found.bridges, ""),
        ("ranks of each", found.ranks_each, ""),
        ("gathering: messages", found.message_seconds, "s"),
        ("gathering: memory", found.memory_seconds, "s"),
        ("gathering: NIC", found.nic_seconds, "s"),
        ("publishing", found.publish_seconds, "s"),
        ("added to the time from frame to frame", 100 * found.cost, "%"),
        ("memory for frames where a bridge gathers", found.frame_bytes / 2**20, "MiB"),
        ("records per frame", found.records_per_frame, "records"),
        ("partitions", found.partitions, ""),
    )
    return tuple(
        Outcome(subject=subject, quantity=quantity, value=float(value), unit=unit)
        for quantity, value, unit in figures
    )


def _cure(estimate: Estimate) -> str:
    if estimate.one.keeps_up:
        return "That is tolerable: no more are needed."
    if estimate.fewest is None:
        return (
            f"Not even one on each of {estimate.given.nodes} nodes would be tolerable, which adds "
            f"{estimate.per_node.cost:.1%}: frames must become rarer or smaller."
        )
    return f"{estimate.fewest.bridges} bridges keep up, with {estimate.fewest.cost:.1%}."


def _ranks(count: int) -> str:
    return {0: "not even one rank", 1 << 40: "any number of ranks"}.get(count, f"{count} ranks at most")


def _mib(nbytes: float) -> str:
    return f"{nbytes / 2**20:.3g} MiB"


def _rate(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e9:.3g} GB/s" if math.isfinite(bytes_per_second) else "as much as comes"
