import re

import pytest

from lockstream.bridge.errors import ConfigurationError
from lockstream.kafka.analysis.group import run_of, subscription


@pytest.mark.parametrize(
    ("runs", "topic", "is_meant"),
    [
        ((), "lockstream.run.heat-1", True),
        ((), "lockstream.run.x", True),
        ((), "lockstream.run.", False),
        ((), "lockstream.run.Heat", False),
        ((), "lockstream.run." + "x" * 65, False),
        ((), "lockstream.run.heat.old", False),
        ((), "my.lockstream.run.heat", False),
        ((), "lockstreamXrunXheat", False),
        (("heat", "gs_2"), "lockstream.run.heat", True),
        (("heat", "gs_2"), "lockstream.run.gs_2", True),
        (("heat", "gs_2"), "lockstream.run.heat-1", False),
    ],
)
def test_a_subscription_means_whole_names_of_runs(runs, topic, is_meant):
    assert bool(re.search(subscription(runs), topic)) is is_meant


@pytest.mark.parametrize("name", ["", "A", "a|b", "a.b", ".*", "a(", "x" * 65])
def test_what_is_no_run_id_never_becomes_part_of_a_pattern(name):
    with pytest.raises(ConfigurationError, match="--run"):
        subscription(["heat", name])


def test_a_topic_names_its_run():
    assert run_of("lockstream.run.heat-1") == "heat-1"
