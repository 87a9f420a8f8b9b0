"""``python -m lockstream.profiling.inside.cprofile RECORD PROGRAM …``: every call is counted and timed."""

import cProfile
import sys
import time
from pathlib import Path
from types import CodeType
from typing import Any

from lockstream.profiling.inside.program import is_ours, run_program
from lockstream.profiling.results import RankProfile, Spot, write_json


def main(record: Path, words: list[str]) -> None:
    """Run a program and write what was seen."""
    profiler = cProfile.Profile()
    begin = time.perf_counter()
    profiler.enable()
    try:
        run_program(words)
    finally:
        profiler.disable()
        seconds = time.perf_counter() - begin
        spots = tuple(spot for entry in profiler.getstats() if (spot := _spot(entry)) is not None)
        write_json(record, RankProfile(seconds=seconds, spots=spots))


def _spot(entry: Any) -> Spot | None:
    code: CodeType | str = entry.code
    is_compiled = isinstance(code, str)
    file, line = ("", 0) if isinstance(code, str) else (code.co_filename, code.co_firstlineno)
    function = code if isinstance(code, str) else code.co_qualname
    if is_ours(file) or "built-in method builtins.exec" in function:
        return None
    return Spot(
        file=file,
        line=line,
        function=function,
        seconds=max(entry.inlinetime, 0.0),
        inclusive=max(entry.totaltime, 0.0),
        native=max(entry.inlinetime, 0.0) if is_compiled else 0.0,
        calls=entry.callcount,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
