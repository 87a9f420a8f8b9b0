"""The page on scaling says what was measured."""

from pathlib import Path

import pytest

from lockstream.profiling.scaling.analysis import analyse
from lockstream.profiling.scaling.page import PAGE, make_page, read_results

DOCS = Path(__file__).parents[3] / "docs"


def test_the_tables_of_the_page_are_made_from_the_results() -> None:
    page = (DOCS / PAGE).read_text()
    assert make_page(page, read_results(DOCS)) == page
    assert page.count("<!-- generated: ") == page.count("\n<!-- end -->") == 12


def test_the_results_follow_from_the_runs() -> None:
    for found in read_results(DOCS).values():
        again = analyse(found.samples, found.machine.cores, is_weak=found.is_weak)
        assert (again.culprit, again.points, again.parts) == (found.culprit, found.points, found.parts)
        assert again.fraction == pytest.approx(found.fraction)


def test_the_planted_serial_part_is_found() -> None:
    found = read_results(DOCS)["checkpoint"]
    assert "checkpoint.every=1" in found.command
    assert found.culprit == "checkpoint"
