"""A whole run of the lab: one part after the other, then the models and the verdicts."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstream.bridge.errors import LockstreamError
from lockstream.contrast.experiments import EXPERIMENTS
from lockstream.contrast.fits import hockney
from lockstream.contrast.hybrid import experiments as three_ways
from lockstream.contrast.machine import describe
from lockstream.contrast.patterns.measure import measure
from lockstream.contrast.pipeline import experiment as pipeline
from lockstream.contrast.results import Experiment, Failure, Measurement, Results
from lockstream.contrast.rig import Rig
from lockstream.contrast.verdicts import verdicts
from lockstream.kafka.broker import embedded_broker

if TYPE_CHECKING:
    from lockstream.kafka.broker.artifacts import Progress

Say = Callable[[str], None]

PARTS = ("exchanges", "experiments", "ways")

    def keep(*found: Experiment) -> None:
        tried.extend(found)
        for experiment in found:
            say(f"{experiment.title}: {experiment.finding}")

    if "exchanges" in parts:
        with going_on("exchanges"):
            measured = measure(rig, say)
    if "experiments" in parts:
        for experiment in EXPERIMENTS:
            with going_on(experiment.__module__.rpartition(".")[2]):
                keep(experiment(rig))
    if "ways" in parts:
        with going_on("three ways"):
            keep(*three_ways.run(rig))
        with going_on("Little's law"):
            keep(pipeline.run(rig))
    return Results(
        date=datetime.now(UTC).date().isoformat(),
        seconds=time.monotonic() - begun,
        is_quick=rig.is_quick,
        machine=machine,
        measurements=measured,
        experiments=tuple(tried),
        fits=hockney(measured),
        verdicts=verdicts(measured, tried),
        failures=tuple(failures),
    )
