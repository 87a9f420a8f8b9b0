"""The page on reliability names a test for each fault; each of them has to be there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reliability.md"
NAMED = re.findall(r"\| `(tests/[\w/]+\.py)::(test_\w+)(?:\[(.+?)\])?` \|", PAGE.read_text())


def test_every_row_of_the_tables_names_a_test() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if re.match(r"\| (?!fault|-)", line)]
    assert len(rows) == len(NAMED) > 50


@pytest.mark.parametrize(("file", "test", "case"), NAMED)
def test_the_test_is_there(file: str, test: str, case: str) -> None:
    module = ast.parse((ROOT / file).read_text())
    assert test in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
    if case:
        texts = {node.value for node in ast.walk(module) if isinstance(node, ast.Constant)}
        assert case in texts
