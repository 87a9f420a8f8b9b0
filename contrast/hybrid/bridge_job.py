"""The bridge: the workers are ranks, and what they publish goes to Kafka through Lockstream; a program."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lockstream.bridge import Block, Field, StreamSettings, open_stream
from lockstream.bridge.errors import DeliveryFailed
from lockstream.contrast.hybrid.halo_mpi import HaloByRanks
from lockstream.contrast.hybrid.task import Progress, Simulated, Task, my_task
from lockstream.contrast.hybrid.workflow import Array, Band, solve
from lockstream.contrast.rig import reply, world

if TYPE_CHECKING:
    from mpi4py import MPI

FIELD = "u"
SAFE_SECONDS = 60.0


def main() -> None:
    """Simulate on all ranks."""
    task = my_task()
    with world(has_company=True) as comm:
        done = _simulate(comm, task)
        if comm.rank == 0:
            reply(done)


def _simulate(comm: MPI.Intracomm, task: Task) -> Simulated | None:
    plan, band = task.plan, Band(task.plan, comm.rank)
    fields = [Field(FIELD, (plan.rows, plan.columns), "f8")]
    kafka = {"bootstrap.servers": task.servers}
    settings = StreamSettings(spool=str(Path(task.folder) / "spool"), max_stall=SAFE_SECONDS)
    with ExitStack() as stack:
        stream = stack.enter_context(
            open_stream(comm, run=task.run, fields=fields, kafka=kafka, settings=settings)
        )
        progress = stack.enter_context(Progress(task)) if comm.rank == 0 else None
        halo = stack.enter_context(HaloByRanks(comm, band))

        def publish(step: int, rows: Array) -> None:
            stream.publish(step, time=float(step), blocks={FIELD: Block(rows, (band.first, 0))})
            if progress:
                progress.published(step)

        comm.Barrier()
        if progress:
            progress.begin()
        solve(plan, band, halo.exchange, publish)
        if not stream.sync(SAFE_SECONDS):
            raise DeliveryFailed(f"run {task.run!r}: Kafka does not have all frames after {SAFE_SECONDS:g} s")
        return progress.end() if progress else None


if __name__ == "__main__":
    main()
