"""How phases look, in every picture the same."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

from lockstream.profiling.phases.run import OTHER


class Look(NamedTuple):
    """Colours of Okabe and Ito, which colour-blind people can tell apart; hatches for a printer without colours."""

    colour: str
    hatch: str = ""


_USUAL = {
    "compute": Look("#0072B2"),
    "halo": Look("#E69F00", "///"),
    "reduce": Look("#F0E442", "\\\\\\"),
    "gather": Look("#D55E00", "xxx"),
    "publish": Look("#CC79A7", "..."),
    "stall": Look("#56B4E9", "|||"),
    "wait": Look("#DDDDDD"),
    "checkpoint": Look("#009E73", "+++"),
    OTHER: Look("#FFFFFF"),
}
_FURTHER = (
    Look("#882255", "---"),
    Look("#44AA99", "ooo"),
    Look("#999933", "**"),
    Look("#661100", "\\\\"),
)


def looks_of(names: Sequence[str]) -> dict[str, Look]:
    """Return how each of these phases, and `OTHER`, is drawn."""
    further = cycle(_FURTHER)
    return {name: _USUAL.get(name) or next(further) for name in (*names, OTHER)}


def style(look: Look) -> dict[str, Any]:
    """Return matplotlib's arguments for a bar."""
    return {"facecolor": look.colour, "hatch": look.hatch, "edgecolor": "0.25", "linewidth": 0.3}
