"""What the documentation says in figures and in code is what was measured, and what is run."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from lockstream.contrast.patterns.in_kafka import PATTERNS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_what_the_results_say(generate: ModuleType) -> None:
    assert [page.name for page, _ in generate.stale_pages()] == [], f"run {sys.executable} docs/generate.py"


def test_what_stood_between_the_marks_is_replaced(generate: ModuleType) -> None:
    page = "before\n<!-- generated: a b -->\nold\n<!-- end -->\nafter\n"
    new = generate.filled(page, lambda name: f"the new {name}\n")
    assert new == "before\n<!-- generated: a b -->\n\nthe new a b\n\n<!-- end -->\nafter\n"


def test_a_part_that_nobody_makes_is_an_error(generate: ModuleType) -> None:
    with pytest.raises(KeyError):
        generate.filled("<!-- generated: nonsense -->\n<!-- end -->", lambda name: {"a": "b"}[name])


def test_every_pattern_is_on_its_page() -> None:
    page = (ROOT / "docs/explanation/patterns-side-by-side.md").read_text()
    assert re.findall("<!-- generated: code (.+) -->", page) == list(PATTERNS)
