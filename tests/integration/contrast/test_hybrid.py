"""The workflow three ways with a real broker: the same digest, and what a killed analysis leaves."""

import os
from pathlib import Path

import pytest

from lockstream.contrast.hybrid.analysis import digest
from lockstream.contrast.hybrid.frames_mpi import IN_FLIGHT
from lockstream.contrast.hybrid.serial import serial_results
from lockstream.contrast.hybrid.ways import WAYS, AllMpi, Way
from lockstream.contrast.hybrid.workflow import Plan
from lockstream.contrast.rig import Rig
from lockstream.kafka.broker import BrokerInfo

PLAN = Plan(rows=33, columns=20, workers=2, steps=24, every=2, crash_at=4)


@pytest.fixture
def rig(broker: BrokerInfo, tmp_path: Path) -> Rig:
    return Rig(folder=tmp_path, servers=broker.bootstrap_servers, broker_pid=os.getpid(), is_quick=True)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_killed_analysis_and_its_repair(rig: Rig, way: type[Way]) -> None:
    with way(rig, PLAN) as run:
        is_finished = run.outlives()
        code = run.analysed()
        left, published = len(run.results), {entry.step for entry in run.published}
        run.repair()
        run.simulated()
        assert run.analysed() is None
        results = run.results
    assert left == PLAN.crash_at - 1
    assert digest(results) == digest(serial_results(PLAN))
    if way is AllMpi:  # the job dies with its analysis, which it cannot be far ahead of
        assert not is_finished
        assert max(published) <= (left + 1 + IN_FLIGHT) * PLAN.every
    else:
        assert (is_finished, code) == (True, -9)
        assert max(published) == PLAN.steps
