"""The house itself: what pyproject.toml, the typings, the command line and the docs say of the folders is true."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from lockstream.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
MAPPED = {name.removeprefix("lockstream."): folder for name, folder in SETUPTOOLS["package-dir"].items()}
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def headings(document: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.+?) *$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(document: Path) -> list[str]:
    """What a document links to inside this repository."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def test_every_folder_with_an_init_is_shipped_and_nothing_else() -> None:
    folders = {
        path.parent.relative_to(ROOT)
        for package in ROOT.glob("*/__init__.py")
        for path in package.parent.rglob("__init__.py")
    }
    assert {".".join(("lockstream", *folder.parts)) for folder in folders} == set(SETUPTOOLS["packages"])
    assert {folder.parts[0] for folder in folders} == set(MAPPED) == set(MAPPED.values())


def test_typings_lead_to_the_packages() -> None:
    links = {path.name: path.resolve() for path in (ROOT / "typings" / "lockstream").iterdir()}
    assert links == {name: ROOT / folder for name, folder in MAPPED.items()}


def test_the_image_is_built_of_all_packages() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {folder for folder in MAPPED.values() if "/" not in folder} <= kept


def test_types_and_import_rules_are_checked_in_every_package() -> None:
    roots = {f"lockstream.{name}" for name in MAPPED}
    assert set(PYPROJECT["tool"]["mypy"]["packages"]) == roots
    assert set(PYPROJECT["tool"]["importlinter"]["root_packages"]) == roots
    assert all((ROOT / folder / "py.typed").exists() for folder in MAPPED.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_listed_command_is_there(command: str) -> None:
    assert find_spec(f"lockstream.cli.{command}") is not None


@pytest.mark.parametrize(
    "entry",
    [
        entry
        for group in ("console_scripts", "lockstream.models")
        for entry in entry_points(group=group)
        if entry.value.startswith("lockstream.")
    ],
    ids=lambda entry: entry.name,
)
def test_entry_points_can_be_loaded(entry: EntryPoint) -> None:
    assert callable(entry.load())


def test_help_touches_neither_mpi_nor_kafka() -> None:
    program = (
        "import sys; from lockstream.cli.main import lockstream;"
        "lockstream.main(['--help'], standalone_mode=False);"
        "heavy = {'mpi4py.MPI', 'confluent_kafka', 'h5py', 'numpy', 'numba'} & sys.modules.keys();"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert all(command in ended.stdout for command in COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_the_docs_lead_somewhere(document: Path) -> None:
    dead = []
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in headings(target)):
            dead.append(link)
    assert dead == []
