"""What a profiler must be able to do to be one of `lockstream profile`'s tools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lockstream.profiling.results import Picture, RankProfile, Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonProgram:
    """A Python program, as its interpreter is told it.

    Parameters
    ----------
    interpreter
        The Python and its options, e.g. ``("python3", "-u")``.
    target
        ``("program.py",)`` or ``("-m", "package")``.
    arguments
        What the program gets.
    """

    interpreter: tuple[str, ...]
    target: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """What follows the interpreter and its options."""
        return self.target + self.arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user wants of a tool; a tool that cannot choose takes no notice.

    Parameters
    ----------
    watched
        Packages and modules whose lines are of interest, beside the program itself.
    folders
        Where their sources lie.
    is_cpu_only
        Whether memory is left alone, which is faster.
    """

    watched: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    is_cpu_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How one rank's process is to be started, in its place: command and what is added to its environment."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Tool(Protocol):
    """A profiler; one object serves all ranks and keeps nothing of them.

    Attributes
    ----------
    name
        As the user asks for it.
    unit
        What it tells apart.
    package
        What the program's interpreter must be able to import; empty if nothing.
    notes
        What its figures do not cover, in sentences.
    """

    name: str
    unit: Unit
    package: str
    notes: tuple[str, ...]

    def ensure_usable(self) -> None:
        """Raise a `UserError`, with the cure, if it cannot work on this machine; called once, before the run."""

    def start(self, program: PythonProgram, file: Path, choices: Choices) -> Start:
        """Return how a rank is started so that `file`, which no other rank has, holds its record afterwards."""

    def read(self, file: Path) -> RankProfile:
        """Return what a rank's record says; the file may be damaged, and is not trusted.

        Raises
        ------
        FileNotFoundError
            The rank left none.
        RecordUnreadable
            It is not a record of this tool.
        """

    def pictures(self, files: Sequence[Path]) -> tuple[Picture, ...]:
        """Return what the report shows beside the tables, from the records of all ranks in their order."""
