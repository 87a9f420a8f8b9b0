"""``python -m lockstream.profiling.inside.pyinstrument RECORD PROGRAM …``: the calls are looked at each millisecond."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from pyinstrument import Profiler

from lockstream.profiling.inside.program import is_ours, run_program
from lockstream.profiling.results import Node, RankProfile, Spot, write_json

INTERVAL = 0.001  # seconds
DEPTH = 60  # of the tree; deeper calls count where they were made
Place = tuple[str, str, int]  # function, file, first line


def main(record: Path, words: list[str]) -> None:
    """Run a program and write what was seen."""
    profiler = Profiler(interval=INTERVAL, async_mode="disabled")
    begin = time.perf_counter()
    profiler.start()
    try:
        run_program(words)
    finally:
        session = profiler.stop()
        seconds = time.perf_counter() - begin
        stacks = [(_places(stack), taken) for stack, taken in session.frame_records]
        write_json(record, RankProfile(seconds=seconds, spots=spots(stacks), tree=tree(stacks)))


def spots(stacks: Iterable[tuple[Sequence[Place], float]]) -> tuple[Spot, ...]:
    """Return each function's own time and that with its calls, from stacks (outermost first) and their seconds."""
    own: dict[Place, float] = defaultdict(float)
    inclusive: dict[Place, float] = defaultdict(float)
    for stack, seconds in stacks:
        if stack:
            own[stack[-1]] += seconds
        for place in set(stack):
            inclusive[place] += seconds
    return tuple(
        Spot(
            file=place[1],
            line=place[2],
            function=place[0],
            seconds=own.get(place, 0.0),
            inclusive=inclusive[place],
        )
        for place in inclusive
    )


def tree(stacks: Iterable[tuple[Sequence[Place], float]]) -> Node:
    """Return the tree of calls; its root is the program."""
    root = _Branch()
    for stack, seconds in stacks:
        root.seconds += seconds
        branch = root
        for place in stack[:DEPTH]:
            branch = branch.children[place]
            branch.seconds += seconds
    return root.node(("program", "", 0))


class _Branch:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.children: dict[Place, _Branch] = defaultdict(_Branch)

    def node(self, place: Place) -> Node:
        function, file, line = place
        children = tuple(child.node(each) for each, child in self.children.items())
        return Node(function=function, file=file, line=line, seconds=(self.seconds,), children=children)


def _places(stack: Sequence[str]) -> list[Place]:
    """Read pyinstrument's frames: function, file and first line apart by NUL, then more; ours are left out."""
    places = []
    for frame in stack:
        function, file, line = [*frame.partition("\x01")[0].split("\x00"), "", ""][:3]
        if file != "<thread>" and not is_ours(file):
            places.append((function, file, int(line) if line.isdecimal() else 0))
    return places


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
