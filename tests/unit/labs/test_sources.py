"""The labs as they are committed: valid notebooks without outputs, each exercise with all that makes one."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

LABS = Path(__file__).parents[3] / "docs" / "labs"
NOTEBOOKS = sorted(LABS.glob("*.ipynb"))

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def exercises(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """Cells by exercise: it begins with a heading ``## 1. …`` and goes on until the next heading."""
    found: dict[str, list[NotebookNode]] = {}
    cells: list[NotebookNode] = []
    for cell in notebook.cells:
        if heading := re.match(r"## (.+)", cell.source):
            cells = found.setdefault(heading[1], [])
        cells.append(cell)
    return {title: cells for title, cells in found.items() if re.match(r"\d", title)}


def test_it_is_valid(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"


def test_it_holds_nothing_of_a_run(path: Path) -> None:
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert set(notebook.metadata.language_info) == {"name"}
    for cell in notebook.cells:
        assert cell.metadata == {}, cell.id
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), cell.id


def test_each_exercise_is_whole(path: Path) -> None:
    """A question, a prediction before anything runs, a check that can fail, and what surprises people."""
    found = exercises(read(path))
    assert len(found) >= 3
    for title, cells in found.items():
        assert "**Question.**" in cells[0].source, title
        assert cells[1].source.startswith("prediction = "), title
        code = [cell.source for cell in cells[2:] if cell.cell_type == "code"]
        assert any("{prediction" in source for source in code), title
        assert any(re.search(r"^assert ", source, re.MULTILINE) for source in code), title
        assert any("**What surprises people.**" in cell.source for cell in cells), title


def test_its_links_lead_somewhere(path: Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert "://" in target or (LABS / target).exists(), target
