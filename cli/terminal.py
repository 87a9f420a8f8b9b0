"""What commands share that talk to a terminal: signals, progress of a download, sizes."""

import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event
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
def stop_flag() -> Iterator[Event]:
    """Turn SIGINT and SIGTERM into a flag, so that what is complete is brought home before the end."""
    stop = Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
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


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; in a file or a pipe as wide as it needs to be. Columns of numbers are right-aligned."""
    from rich.console import Console
    from rich.table import Table

    rows = list(rows)
    table = Table(box=None, pad_edge=False, show_header=any(headings))
    for number, heading in enumerate(headings):
        cells = [row[number] for row in rows]
        is_number = all(c == "-" or c.replace(".", "").replace("-", "").isdecimal() for c in cells)
        table.add_column(heading, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 1000, markup=False).print(table)


def size(count: float) -> str:
    """Return a number of bytes as people read it, e.g. "43 MiB"."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
