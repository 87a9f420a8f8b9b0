"""The page on profiling shows what its results hold."""

from pathlib import Path

import pytest

from lockstream.profiling.results import read_comparison
from lockstream.profiling.tables import filled, tables

DOCS = Path(__file__).parents[3] / "docs"
RESULTS = read_comparison(DOCS / "results" / "profiling.json")
PAGE = (DOCS / "explanation" / "profiling.md").read_text()


def test_the_page_is_what_the_results_say() -> None:
    assert filled(PAGE, tables(RESULTS)) == PAGE
    assert all(f"<!-- generated: {name} -->" in PAGE for name in tables(RESULTS))


def test_other_results_would_give_another_page() -> None:
    changed = {
        name: text.replace("hot", "cold").replace("1.00", "2.00") for name, text in tables(RESULTS).items()
    }
    assert filled(PAGE, changed) != PAGE


def test_a_part_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError):
        filled("<!-- generated: unknown --> <!-- end -->", {})
