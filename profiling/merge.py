"""From one record per rank to one account of the run."""

import linecache
from collections.abc import Sequence

import msgspec

from lockstream.profiling.results import MergedSpot, Node, RankProfile, Spot

Place = tuple[str, int, str]


def merge_spots(ranks: Sequence[RankProfile]) -> tuple[MergedSpot, ...]:
    """Return every place that any rank was seen at, the busiest first, by mean share."""
    by_rank = [_by_place(rank.spots) for rank in ranks]
    places = dict.fromkeys(place for spots in by_rank for place in spots)
    totals = [rank.seconds for rank in ranks]
    merged = [_merge(place, [spots.get(place) for spots in by_rank], totals) for place in places]
    return tuple(sorted(merged, key=lambda spot: spot.share, reverse=True))


def merge_trees(ranks: Sequence[RankProfile]) -> Node | None:
    """Return the calls of all ranks in one tree, siblings by mean time; None unless every rank has one."""
    trees = [rank.tree for rank in ranks]
    if not trees or None in trees:
        return None
    return _merge_nodes([tree for tree in trees if tree is not None], range(len(trees)), len(trees))


def _by_place(spots: Sequence[Spot]) -> dict[Place, Spot]:
    """Return one spot per place: what a tool tells apart can bear one name, as two lambdas of a line do."""
    found: dict[Place, Spot] = {}
    for spot in spots:
        place = spot.file, spot.line, spot.function
        found[place] = _sum(found[place], spot) if place in found else spot
    return found


def _sum(one: Spot, other: Spot) -> Spot:
    """Add two spots of one place; a sum of what is called counts twice what one of them has from the other."""
    sums = {
        name: (getattr(one, name) or 0) + (getattr(other, name) or 0)
        for name in ("seconds", "inclusive", "native", "megabytes", "calls")
        if getattr(one, name) is not None or getattr(other, name) is not None
    }
    return msgspec.structs.replace(one, **sums)


def _merge(place: Place, spots: Sequence[Spot | None], totals: Sequence[float]) -> MergedSpot:
    file, line, function = place
    seconds = tuple(spot.seconds if spot else 0.0 for spot in spots)
    there = [spot for spot in spots if spot]

    def figures(name: str) -> tuple[float, ...] | None:
        if all(getattr(spot, name) is None for spot in there):
            return None
        return tuple((getattr(spot, name) if spot else None) or 0 for spot in spots)

    calls = figures("calls")
    mean = sum(seconds) / len(seconds)
    return MergedSpot(
        file=file,
        line=line,
        function=function,
        text=linecache.getline(file, line).strip() if line else "",
        seconds=seconds,
        shares=tuple(part / total if total > 0 else 0.0 for part, total in zip(seconds, totals, strict=True)),
        imbalance=max(seconds) / mean if mean > 0 else 1.0,
        inclusive=figures("inclusive"),
        native=figures("native"),
        megabytes=figures("megabytes"),
        calls=None if calls is None else tuple(int(count) for count in calls),
    )


def _merge_nodes(nodes: Sequence[Node], ranks: Sequence[int], size: int) -> Node:
    """Merge what is the same place of the tree on some of the ranks."""
    seconds = [0.0] * size
    same: dict[tuple[str, str, int], list[tuple[Node, int]]] = {}
    for node, rank in zip(nodes, ranks, strict=True):
        seconds[rank] = node.seconds[0]
        for child in node.children:
            same.setdefault((child.function, child.file, child.line), []).append((child, rank))
    children = [
        _merge_nodes([node for node, _ in each], [rank for _, rank in each], size) for each in same.values()
    ]
    children.sort(key=lambda child: sum(child.seconds), reverse=True)
    first = nodes[0]
    return Node(
        function=first.function,
        file=first.file,
        line=first.line,
        seconds=tuple(seconds),
        children=tuple(children),
    )
