"""Where the publisher may run without taking a core from a rank that is bound to it."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI


def spare_processors(comm: MPI.Comm) -> set[int]:
    """Return the processors of this node that no rank on it is bound to; collective.

    Returns
    -------
    set of int
        Empty where the ranks are not bound, or leave no processor free: the system then decides.
    """
    mine = os.sched_getaffinity(0)
    online = set(range(os.cpu_count() or 1))
    bound = [
        ranks for host, ranks in comm.allgather((platform.node(), sorted(mine))) if host == platform.node()
    ]
    return online - {processor for ranks in bound for processor in ranks}
