"""Where ranks meet, and who came last: what waiting is made of.

In the phases named in `MEETINGS` a rank may be held up by others, in all other phases it works. The n-th time that
a rank enters such a phase in one step is the same occasion on all ranks, since they all run the same program.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from lockstream.mpi_jobs.decomposition import Array
from lockstream.profiling.phases.run import OTHER, PhaseRun

MEETINGS = frozenset({"halo", "reduce", "gather", "wait"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """For every interval of one rank: who came last to that occasion, if that held the rank up; shape (n,).

    Parameters
    ----------
    begin
        When the last one came; -1 if this rank was not held up.
    rank, interval
        Which rank that was, and which of its intervals.
    """

    begin: Array
    rank: Array
    interval: Array


def find_arrivals(run: PhaseRun) -> tuple[Arrivals, ...]:
    """Return by rank who held it up, where.

    For a halo exchange that is the last of all ranks too, though a rank waits for its neighbours only.
    """
    occasions: defaultdict[tuple[int, int, int], list[tuple[int, int, int]]] = defaultdict(list)
    meetings = [number for number, name in enumerate(run.names) if name in MEETINGS]
    for rank, line in enumerate(run.ranks):
        seen: defaultdict[tuple[int, int], int] = defaultdict(int)
        for interval in np.flatnonzero(np.isin(line.phase, meetings)).tolist():
            key = int(line.phase[interval]), int(line.step[interval])
            occasions[*key, seen[key]].append((int(line.begin[interval]), rank, interval))
            seen[key] += 1
    found = tuple(
        Arrivals(**{name: np.full(len(line.begin), -1, np.int64) for name in ("begin", "rank", "interval")})
        for line in run.ranks
    )
    for here in occasions.values():
        last, late_rank, late_interval = max(here)
        for begin, rank, interval in here:
            if begin < last < run.ranks[rank].end[interval]:
                mine = found[rank]
                mine.begin[interval], mine.rank[interval] = last, late_rank
                mine.interval[interval] = late_interval
    return found


def waited(run: PhaseRun, arrivals: tuple[Arrivals, ...]) -> Array:
    """Return the nanoseconds that each rank waited for the last one to come, by phase; shape (names, ranks)."""
    result = np.zeros((len(run.names), len(run.ranks)), np.int64)
    for rank, (line, found) in enumerate(zip(run.ranks, arrivals, strict=True)):
        held_up = found.begin >= 0
        np.add.at(result[:, rank], line.phase[held_up], found.begin[held_up] - line.begin[held_up])
    return result


def critical_path(run: PhaseRun, arrivals: tuple[Arrivals, ...]) -> dict[str, int]:
    """Return what the run's duration consists of: nanoseconds by phase, which add up to it.

    The path goes backwards from the end. Where the rank at hand was held up, it goes on with the rank that was waited
    for, from the moment when that one came: what that one did until then was what counted. So work that one rank
    does while the others wait is found as that work, and not as waiting. (See Böhme et al., Identifying the
    root causes of wait states in large-scale parallel applications, ICPP 2010.)

    Meaningful only if `run.is_complete`.
    """
    path = dict.fromkeys((*run.names, OTHER), 0)
    lasts = [int(line.end[-1]) if len(line.end) else 0 for line in run.ranks]
    rank = int(np.argmax(lasts))
    now, interval = lasts[rank], len(run.ranks[rank].end) - 1
    while interval >= 0:
        line, found = run.ranks[rank], arrivals[rank]
        begin, end, name = (
            int(line.begin[interval]),
            int(line.end[interval]),
            run.names[line.phase[interval]],
        )
        if end < now:  # between two phases
            path[OTHER] += now - end
            now = end
        last = int(found.begin[interval])
        if begin <= last < now:
            path[name] += now - last
            now, rank, interval = last, int(found.rank[interval]), int(found.interval[interval]) - 1
        else:
            path[name] += now - begin
            now, interval = begin, interval - 1
    path[OTHER] += now
    return path
