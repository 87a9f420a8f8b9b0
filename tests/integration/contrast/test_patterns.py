"""Each pattern brings what is due, in both styles, whoever comes late."""

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import pattern_program
from support.programs import mpirun

from lockstream.contrast.patterns import in_kafka, in_mpi
from lockstream.contrast.rig import lent_topic
from lockstream.kafka.broker import BrokerInfo

PROGRAM = Path(pattern_program.__file__)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("style", ["mpi", "kafka"])
def test_every_pattern_brings_what_is_due(broker: BrokerInfo, style: str, ranks: int) -> None:
    servers = broker.bootstrap_servers
    with ExitStack() as stack:
        count = len(in_kafka.PATTERNS) if style == "kafka" else 0
        topics = [stack.enter_context(lent_topic(servers, ranks)) for _ in range(count)]
        ended = mpirun(ranks, sys.executable, "-m", "mpi4py", PROGRAM, style, servers, *topics)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stdout + ended.stderr


def test_both_styles_have_the_same_patterns() -> None:
    assert list(in_mpi.PATTERNS) == list(in_kafka.PATTERNS)
