"""The page with both styles of each pattern shows the code that is measured, of all patterns."""

import re
from pathlib import Path

from lockstream.contrast.patterns.in_mpi import PATTERNS
from lockstream.contrast.patterns.side_by_side import renewed

PAGE = Path(__file__).parents[3] / "docs/explanation/patterns-side-by-side.md"


def test_the_page_shows_the_code_as_it_is() -> None:
    text = PAGE.read_text()
    assert renewed(text) == text, f"python -m lockstream.contrast.patterns.side_by_side {PAGE}"


def test_every_pattern_is_on_the_page() -> None:
    assert re.findall("<!-- code of (.+) -->", PAGE.read_text()) == list(PATTERNS)


def test_what_stood_between_the_markers_is_replaced() -> None:
    page = "before\n<!-- code of barrier -->\nold\n<!-- end of code -->\nafter\n"
    assert "old" not in renewed(page)
    assert "comm.Barrier()" in renewed(page)
    assert (renewed(page)[:7], renewed(page)[-6:]) == ("before\n", "after\n")
