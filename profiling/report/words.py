"""Findings in words, made from the figures."""

from pathlib import PurePath

from lockstream.profiling.results import MergedSpot, Profile

WORTH_NAMING = 0.05  # of the time of the rank that spends most there
UNEQUAL = 1.1  # largest over mean


def place(spot: MergedSpot) -> str:
    """Return where a spot is, e.g. ``solver.py:42 advance``."""
    file = PurePath(spot.file).name
    where = f"{file}:{spot.line}" if spot.line else file
    return " ".join(filter(None, (where, spot.function)))


def findings(profile: Profile) -> list[str]:
    """Return what the profile means, in one or two sentences."""
    if not profile.spots:
        return ["No place took a share worth naming."]
    told = [_busiest(profile.spots[0])]
    uneven = unequal(profile)
    if uneven:
        told.append(f"Least equal: {' and '.join(_excess(spot) for spot in _both_sides(uneven))}.")
        told.append(
            "Where one rank has more to do, the others wait for it: a place that calls MPI is where they wait."
        )
    elif len(profile.rank_seconds) > 1:
        told.append(
            "The ranks are equal: no place that matters takes one of them much longer than the others."
        )
    return told


def unequal(profile: Profile) -> list[MergedSpot]:
    """Return the places that matter and are not equal between the ranks, the most time in excess first."""
    chosen = [s for s in profile.spots if max(s.shares) >= WORTH_NAMING and s.imbalance >= UNEQUAL]
    return sorted(chosen, key=lambda spot: spot.excess, reverse=True)


def _busiest(spot: MergedSpot) -> str:
    if len(spot.shares) == 1:
        return f"Busiest: {place(spot)}, {spot.share:.1%} of the time."
    rank = spot.shares.index(max(spot.shares))
    return f"Busiest: {place(spot)}, {spot.share:.1%} of the time on average, {max(spot.shares):.1%} on rank {rank}."


def _both_sides(uneven: list[MergedSpot]) -> list[MergedSpot]:
    """Return the least equal place, and the first where another rank is the busiest: work, and waiting for it."""
    first = uneven[0]
    other = next((spot for spot in uneven if _busiest_rank(spot) != _busiest_rank(first)), None)
    return [first, *([other] if other else [])]


def _excess(spot: MergedSpot) -> str:
    return f"{place(spot)}, {max(spot.seconds):.2g} s on rank {_busiest_rank(spot)} and {spot.mean:.2g} s on average"


def _busiest_rank(spot: MergedSpot) -> int:
    return spot.seconds.index(max(spot.seconds))
