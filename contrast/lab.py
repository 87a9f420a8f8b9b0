"""A whole run of the lab: one part after the other, then the models and the verdicts."""

import time
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lockstream.bridge.errors import LockstreamError
from lockstream.contrast.experiments import EXPERIMENTS
from lockstream.contrast.extrapolate import scale_out
from lockstream.contrast.fits import hockney
from lockstream.contrast.hybrid import experiments as three_ways
from lockstream.contrast.machine import describe
from lockstream.contrast.parts import PARTS
from lockstream.contrast.patterns.measure import measure
from lockstream.contrast.pipeline import experiment as pipeline
from lockstream.contrast.results import Experiment, Failure, Measurement, Results
from lockstream.contrast.rig import Rig
from lockstream.contrast.ten_thousand_ranks import JOB, experiment, with_fits
from lockstream.contrast.verdicts import verdicts
from lockstream.kafka.broker import embedded_broker

if TYPE_CHECKING:
    from lockstream.kafka.broker.artifacts import Progress

Say = Callable[[str], None]

HEAP = "1g"  # the broker is to be limited by its work, not by its collector
SOON = {  # workers of a share group hear at once of their share, and not after up to 5 s; nothing measured waits for it
    "group.share.min.heartbeat.interval.ms": "500",
    "group.share.heartbeat.interval.ms": "500",
}


@contextmanager
def lab(scratch: Path, *, is_quick: bool, progress: "Progress | None" = None) -> Iterator[tuple[Rig, str]]:
    """Lend a rig with a broker of its own, and the broker's version.

    Parameters
    ----------
    scratch
        Gets the broker's data, logs and what programs answer; exists.
    is_quick
        Whether a rough answer will do.
    progress
        Is told what is there of Kafka, while it is downloaded.
    """
    with embedded_broker(scratch / "broker", heap=HEAP, progress=progress, more=SOON) as broker:
        yield (
            Rig(folder=scratch, servers=broker.bootstrap_servers, broker_pid=broker.pid, is_quick=is_quick),
            broker.kafka_version,
        )


def run_lab(rig: Rig, kafka: str, say: Say, parts: Collection[str] = PARTS) -> Results:
    """Measure, and return what was found; what fails is noted, and the rest goes on.

    Parameters
    ----------
    rig
        Where.
    kafka
        The broker's version.
    say
        Is told what is being done.
    parts
        Which of `PARTS`.
    """
    machine, begun = describe(kafka), time.monotonic()
    measured: tuple[Measurement, ...] = ()
    tried: list[Experiment] = []
    failures: list[Failure] = []

    @contextmanager
    def going_on(part: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            log = rig.folder / f"{part.replace(' ', '-')}.traceback"
            log.write_text(traceback.format_exc(), encoding="utf-8")
            why = (
                str(error)
                if isinstance(error, LockstreamError)
                else f"{type(error).__name__}, see {log}: {error}"
            )
            failures.append(Failure(part=part, why=why))
            say(f"{part}: FAILED, {why}")

    def keep(*found: Experiment) -> None:
        tried.extend(found)
        for one in found:
            say(f"{one.title}: {one.finding}")

    if "exchanges" in parts:
        with going_on("exchanges"):
            measured = measure(rig, say)
    if "experiments" in parts:
        for tried_out in EXPERIMENTS:
            with going_on(tried_out.__module__.rpartition(".")[2]):
                keep(tried_out(rig))
    if "ways" in parts:
        with going_on("three ways"):
            keep(*three_ways.run(rig))
        with going_on("Little's law"):
            keep(pipeline.run(rig))
    fits = hockney(measured)
    if fits:
        with going_on("ten thousand ranks"):
            keep(experiment(scale_out(with_fits(fits, machine.cores, **JOB))))
    return Results(
        date=datetime.now(UTC).date().isoformat(),
        seconds=time.monotonic() - begun,
        is_quick=rig.is_quick,
        machine=machine,
        measurements=measured,
        experiments=tuple(tried),
        fits=fits,
        verdicts=verdicts(measured, tried),
        failures=tuple(failures),
    )
