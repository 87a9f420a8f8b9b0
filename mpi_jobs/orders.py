"""How orders get to all ranks: decided on rank 0, carried out by everyone at the same step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lockstream.mpi_jobs.steering import Decision, Orders, Steering

if TYPE_CHECKING:
    from mpi4py import MPI

    from lockstream.bridge.control import Command

LOOK_SECONDS = 0.05  # how soon a paused run notices; nobody computes or spins meanwhile

_DECODER = msgspec.json.Decoder(Orders)


def take_orders(
    comm: MPI.Intracomm,
    steering: Steering,
    commands: Callable[[], Sequence[Command]],
    step: int,
    look_seconds: float = LOOK_SECONDS,
) -> Iterator[Decision]:
    """Yield what is decided at `step` until the simulation may go on; collective, at every turn.

    All ranks get their turn, with orders or without, so that what the caller does in between may be collective
    as well: write the checkpoint that is ordered, look whether time is up. It may leave the loop at any turn.

    Parameters
    ----------
    comm, steering, step
        As `exchange_orders` has them.
    commands
        Called on rank 0 only, returns what has arrived without waiting.
    look_seconds
        A paused run looks for commands this often.
    """
    while True:
        yield exchange_orders(comm, steering, commands() if comm.rank == 0 else (), step)
        if steering.stop or not steering.is_paused:
            return
        time.sleep(look_seconds)


def exchange_orders(
    comm: MPI.Intracomm, steering: Steering, commands: Sequence[Command], step: int
) -> Decision:
    """Decide on rank 0 and apply on all ranks; collective, one broadcast of 8 bytes if there are no orders.

    Parameters
    ----------
    comm
        All ranks; each calls with the same `step`.
    steering
        This rank's.
    commands
        Those that have arrived, on rank 0; empty elsewhere.
    step
        Where the simulation is.

    Returns
    -------
    Decision
        The orders, already applied to `steering`, on all ranks alike; the records on rank 0 only. What is left
        to the caller is to write the checkpoint, to hold and to end, and to publish the records then.
    """
    decision = steering.decide(commands, step) if commands else Decision(None, [])
    told = msgspec.json.encode(decision.orders) if decision.orders is not None else b""
    size = np.array([len(told)], np.int64)
    comm.Bcast(size)
    if size[0] == 0:
        return decision
    packed = np.frombuffer(told, np.uint8).copy() if comm.rank == 0 else np.empty(size[0], np.uint8)
    comm.Bcast(packed)
    orders = _DECODER.decode(
        packed.tobytes()
    )  # rank 0 too: whatever JSON does to a number, it does everywhere
    steering.apply(orders)
    return Decision(orders, decision.records)
