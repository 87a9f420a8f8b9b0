"""A program with a planted hot spot, to try profilers on: grains drift in a field that the ranks share.

Three phases are cheap and the same on all ranks. In the fourth, `count_close`, one line takes most of the time,
and the last rank has twice the grains of the others, so that they wait for it::

    lockstream profile --tool scalene -- mpirun -n 2 python examples/hot_spot.py
"""

import sys

import numpy as np
from mpi4py import MPI

from lockstream.mpi_jobs.phases import phase_timers

NX, GRAINS, REACH = 512, 150, 0.01
STEPS = max(1, int(sys.argv[1])) if len(sys.argv) > 1 else 100


def exchange(comm, field):
    """The rows at the rims are the neighbours'."""
    above, below = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    comm.Sendrecv(field[1], dest=above, recvbuf=field[-1], source=below)
    comm.Sendrecv(field[-2], dest=below, recvbuf=field[0], source=above)


def smooth(field):
    """Heat spreads."""
    inner = field[1:-1, 1:-1]
    inner += 0.2 * (field[:-2, 1:-1] + field[2:, 1:-1] + field[1:-1, :-2] + field[1:-1, 2:] - 4 * inner)


def count_close(grains):
    """Pairs that touch; the hot spot."""
    pairs = 0
    for number, grain in enumerate(grains):
        pairs += sum(abs(grain - other) < REACH for other in grains[:number])  # the hot line
    return pairs


def summarise(comm, field, pairs):
    """Sums over all ranks; who is early waits here for the others."""
    return comm.allreduce(float(field[1:-1].sum())), comm.allreduce(pairs)


def main(comm):
    """Drift, spread, count, sum up."""
    rng = np.random.default_rng(comm.rank)
    field = rng.random((NX // comm.size + 2, NX))
    is_last = comm.rank == comm.size - 1
    grains = rng.random(GRAINS * (2 if is_last else 1))
    with phase_timers(comm) as timers:  # measures only for `--tool timers`
        names = "halo", "smooth", "count_close", "reduce"
        exchanging, smoothing, counting, summing = map(timers.phase, names)
        for timers.step in range(STEPS):
            with exchanging:
                exchange(comm, field)
            with smoothing:
                smooth(field)
            with counting:
                grains = (grains + 0.01 * rng.standard_normal(grains.size)) % 1
                pairs = count_close(grains.tolist())
            with summing:
                heat, pairs = summarise(comm, field, pairs)
    if comm.rank == 0:
        print(f"{STEPS} steps, heat {heat:.6g}, {pairs} pairs at the end")


if __name__ == "__main__":
    main(MPI.COMM_WORLD)
