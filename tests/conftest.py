"""What every test may use: one real broker per session, and names that no other test has; in CI nothing is skipped."""

import os
import re
import uuid
from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest

from lockstream.kafka.broker import BrokerInfo, embedded_broker

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Spools of the tests, and of the programs that they start, are not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("SLURM_TMPDIR", raising=False)
        patch.delenv("TMPDIR", raising=False)
        yield


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerInfo]:
    """A real, empty Kafka for the whole session; `.bootstrap_servers` is its address."""
    with embedded_broker(tmp_path_factory.mktemp("broker")) as info:
        yield info


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    """A run id of this test alone, e.g. ``late-joiner-3f9c2a71``."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_")).strip("-")
    return f"{name[:48].rstrip('-')}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def topic_name(run_id: str) -> str:
    """A topic name of this test alone; the topic is not made."""
    return f"test.{run_id}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where LOCKSTREAM_CI is set, what should be tested is tested: a skip is a failure."""
    return _without_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Likewise for a whole module."""
    return _without_skip((yield))


def _without_skip(report: Report) -> Report:
    if "LOCKSTREAM_CI" in os.environ and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, though nothing may be skipped here: {report.longrepr}"
    return report
