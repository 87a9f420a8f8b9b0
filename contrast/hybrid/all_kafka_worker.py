"""All Kafka: one of the workers, a process of its own; a program."""

from contextlib import ExitStack

from lockstream.contrast.hybrid.halo_kafka import (
    PATIENCE_SECONDS,
    ExchangeFailed,
    HaloByTopic,
    check_delivery,
    producer,
)
from lockstream.contrast.hybrid.task import Progress, Simulated, Task, my_task
from lockstream.contrast.hybrid.workflow import Array, Band, solve
from lockstream.contrast.rig import reply


def main() -> None:
    """Compute one band."""
    reply(_simulate(my_task()))


def _simulate(task: Task) -> Simulated:
    plan, band, sender = task.plan, Band(task.plan, task.worker), producer(task.servers)
    with ExitStack() as stack:
        halo = HaloByTopic(task.servers, task.halo_topic, band, task.worker, plan.workers, sender)
        stack.enter_context(halo)
        progress = stack.enter_context(Progress(task))

        def publish(step: int, rows: Array) -> None:
            sender.produce(
                task.frame_topic,
                value=rows.tobytes(),
                headers=[("step", b"%d" % step), ("worker", b"%d" % task.worker)],
                on_delivery=check_delivery,
            )
            progress.published(step)

        progress.begin()
        solve(plan, band, halo.exchange, publish)
        if left := sender.flush(PATIENCE_SECONDS):
            raise ExchangeFailed(f"Kafka did not take {left} records within {PATIENCE_SECONDS:g} s")
        return progress.end()


if __name__ == "__main__":
    main()
