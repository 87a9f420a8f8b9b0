"""The counters as Prometheus reads them."""

import re
from pathlib import Path

import pytest

from lockstream.bridge.metrics import METRICS, MetricsFile, exposition
from lockstream.bridge.slots import COUNTERS

COUNTED = {name: number for number, name in enumerate(COUNTERS, start=1)}


def test_every_counter_is_a_metric() -> None:
    assert set(METRICS) == set(COUNTERS)


def test_the_text_has_help_type_and_value_of_each() -> None:
    lines = exposition(COUNTED, "a-run", 2).splitlines()
    samples = [
        re.fullmatch(r'(lockstream_[a-z_]+)\{run="a-run",attempt="2"\} (\S+)', line) for line in lines[2::3]
    ]
    assert all(samples)
    values = {sample[1]: float(sample[2]) for sample in samples if sample}
    assert values["lockstream_steps_accepted_total"] == COUNTED["accepted"]
    assert values["lockstream_wait_seconds_total"] == pytest.approx(COUNTED["wait_us"] * 1e-6)
    assert values["lockstream_throttled_seconds_total"] == pytest.approx(COUNTED["throttled_ms"] * 1e-3)
    for help_line, type_line, name in zip(lines[::3], lines[1::3], values, strict=True):
        assert help_line.startswith(f"# HELP {name} ")
        assert re.fullmatch(rf"# TYPE {name} (counter|gauge)", type_line)


def test_the_file_has_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "lockstream.prom"
    said = ["first"]
    with MetricsFile(path, lambda: said[0]):
        said[0] = "last"
    assert path.read_text() == "last"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    with MetricsFile(tmp_path / "gone" / "x.prom", lambda: "text"):
        pass
    assert list(tmp_path.iterdir()) == []
