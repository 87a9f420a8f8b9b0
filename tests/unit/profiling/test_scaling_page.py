"""What the page on scaling says was measured."""

from pathlib import Path

import pytest

from lockstream.profiling.scaling.analysis import analyse
from lockstream.profiling.scaling.results import Scaling, read_scaling

RESULTS = Path(__file__).parents[3] / "docs" / "results"
MEASURED = {path.stem: read_scaling(path) for path in sorted(RESULTS.glob("scaling-*.json"))}


@pytest.mark.parametrize("found", MEASURED.values(), ids=MEASURED)
def test_the_results_follow_from_the_runs(found: Scaling) -> None:
    again = analyse(found.samples, found.machine.cores, is_weak=found.is_weak)
    assert (again.culprit, again.points, again.parts) == (found.culprit, found.points, found.parts)
    assert again.fraction == pytest.approx(found.fraction)


def test_the_planted_serial_part_is_found() -> None:
    found = MEASURED["scaling-checkpoint"]
    assert "checkpoint.every=1" in found.command
    assert found.culprit == "checkpoint"
