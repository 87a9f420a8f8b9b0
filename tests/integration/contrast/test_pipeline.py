"""Little's law on a real pipeline: both sides come from different places, and agree."""

import os
from pathlib import Path

import pytest

from lockstream.contrast.pipeline.experiment import ALL, RATIO, Sizes, measured
from lockstream.contrast.rig import Rig
from lockstream.kafka.broker import BrokerInfo


@pytest.mark.drill
def test_what_is_counted_and_what_is_timed_agree(broker: BrokerInfo, tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path, servers=broker.bootstrap_servers, broker_pid=os.getpid(), is_quick=True)
    found = measured(rig, Sizes(rounds=1, steps=100, interval=0.03, shape=(64, 64)))
    behind = f"{ALL}, analysis falls behind"
    assert found.value(behind, "L, sampled") > 5  # the last one waits for half of the hundred before it
    assert found.value(behind, RATIO) == pytest.approx(1, abs=0.1)
