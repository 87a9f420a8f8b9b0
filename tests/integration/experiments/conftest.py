from pathlib import Path

import pytest

from lockstream.contrast.rig import Rig
from lockstream.kafka.broker import BrokerInfo


@pytest.fixture
def rig(broker: BrokerInfo, tmp_path: Path) -> Rig:
    return Rig(folder=tmp_path, servers=broker.bootstrap_servers, broker_pid=broker.pid, is_quick=True)
