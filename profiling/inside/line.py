"""``python -m lockstream.profiling.inside.line RECORD WATCHED PROGRAM …``: every line of what is watched is timed.

WATCHED names packages and modules, separated by commas. They are watched from the moment when the program imports
them, not before: to import them here would start MPI before the program says how it wants it.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from line_profiler import LineProfiler
from line_profiler.autoprofile import autoprofile
from line_profiler.autoprofile.util_static import modname_to_modpath

from lockstream.profiling.inside.program import is_ours, run_program, without_launcher
from lockstream.profiling.results import RankProfile, Spot, write_json


def main(record: Path, watched: Sequence[str], words: list[str]) -> None:
    """Run a program and write what was seen."""
    profiler = LineProfiler()
    words = without_launcher(words)
    begin = time.perf_counter()
    profiler.enable_by_count()
    try:
        with _watching(profiler, watched):
            _run(profiler, words)
    finally:
        profiler.disable_by_count()
        write_json(record, RankProfile(seconds=time.perf_counter() - begin, spots=_spots(profiler)))


def _run(profiler: LineProfiler, words: list[str]) -> None:
    """Run the program with its own source watched; a script that pip made has nothing of interest in it."""
    is_module = words[0] == "-m"
    script = _source_of(words[1]) if is_module else words[0]
    if script is None or (not is_module and not script.endswith(".py")):
        run_program(words)
        return
    sys.argv = words[1:] if is_module else words
    sys.path[0] = str(Path.cwd() if is_module else Path(script).resolve().parent)
    names = {"__file__": script, "__name__": "__main__", "prof": profiler, "profile": profiler}
    autoprofile.run(script, names, prof_mod=[script], as_module=is_module)


def _source_of(module: str) -> str | None:
    """Return the file that ``python -m MODULE`` runs."""
    file: str | None = modname_to_modpath(module, hide_init=False)
    if file is not None and Path(file).name == "__init__.py":
        file = modname_to_modpath(f"{module}.__main__", hide_main=False)
    return file


@contextmanager
def _watching(profiler: LineProfiler, watched: Sequence[str]) -> Iterator[None]:
    watcher = _Watcher(profiler, tuple(watched))
    sys.meta_path.insert(0, watcher)
    try:
        yield
    finally:
        sys.meta_path.remove(watcher)


class _Watcher(MetaPathFinder):
    """Adds modules to the profiler as they are imported."""

    def __init__(self, profiler: LineProfiler, watched: tuple[str, ...]) -> None:
        self._profiler, self._watched = profiler, watched

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if not any(fullname == name or fullname.startswith(f"{name}.") for name in self._watched):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((spec for finder in others if (spec := finder.find_spec(fullname, path, target))), None)
        if spec is not None and hasattr(spec.loader, "exec_module") and not is_ours(spec.origin or ""):
            loader: Any = spec.loader
            before = loader.exec_module

            def execute(module: ModuleType) -> None:
                before(module)
                self._profiler.add_module(module)

            loader.exec_module = execute
        return spec


def _spots(profiler: LineProfiler) -> tuple[Spot, ...]:
    stats = profiler.get_stats()
    return tuple(
        Spot(file=file, line=line, function=function, seconds=ticks * stats.unit, calls=hits)
        for (file, _, function), lines in stats.timings.items()
        for line, hits, ticks in lines
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), [name for name in sys.argv[2].split(",") if name], sys.argv[3:])
