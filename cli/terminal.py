"""What commands share that talk to a terminal: signals, progress of a download, sizes."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lockstream.kafka.broker.artifacts import Progress


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let the first SIGTERM or SIGINT end the block in good order; later ones cannot disturb that."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def fetch_progress() -> Iterator["Progress"]:
    """Yield a callback that draws a progress bar, once and only if there is something to download."""
    bar = click.progressbar(length=0, file=sys.stderr)
    with ExitStack() as drawing:

        def show(done: int, total: int) -> None:
            if bar.length != total:
                bar.length, bar.label = total, f"Fetching Kafka ({size(total)})"
                drawing.enter_context(bar)
            bar.update(done - bar.pos)
            if done == total:
                drawing.close()

        yield show


def size(count: float) -> str:
    """Return a number of bytes as people read it, e.g. "43 MiB"."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
