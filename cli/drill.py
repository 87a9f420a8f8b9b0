"""`lockstream drill`: breaks things on purpose on a scratch set-up and reports what was lost."""

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockstream.cli.archive_drill import Outcome
    from lockstream.cli.bridge_report import Row

_folder = click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), help="Default: a temporary folder."
)


@click.group()
def drill() -> None:
    """Break things on purpose, on a scratch set-up, and report what was lost."""


@drill.command()
@click.option(
    "--kills",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How often to SIGKILL the archiver.",
)
@_folder
@click.option("--seed", type=int, default=1, show_default=True, help="Of the random moments.")
def archive(kills: int, folder: Path | None, seed: int) -> int:
    """Kill the archiver at random moments of a live stream; stop it; kill the broker; then verify.

    Exit 0 only if every acknowledged step is archived once and whole.
    """
    from lockstream.cli.archive_drill import run_drill

    with _scratch(folder) as place:
        outcomes = run_drill(place, kills, seed, click.echo)
    _report(outcomes)
    return 0 if all(outcome.is_clean for outcome in outcomes) else 3


@drill.command()
@click.option(
    "--outage",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    help="Seconds for which the broker, or the link to it, is away.",
)
@click.option("--only", "names", multiple=True, metavar="NAME", help="Only this fault; repeatable.")
@_folder
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the runs, and of random moments."
)
def bridge(outage: float, names: tuple[str, ...], folder: Path | None, seed: int) -> int:
    """Disturb runs of a simulation on two ranks, each with another fault; archive and verify them.

    Exit 0 only if no step is lost, none made the simulation wait for longer than stream.max_stall, and all that is
    archived equals, bit for bit, a run that nobody disturbed.
    """
    from lockstream.cli.bridge_drill import run_drill

    with _scratch(folder) as place:
        rows = run_drill(place, outage, names, seed, click.echo)
    _report_bridge(rows)
    return 0 if all(row.is_clean for row in rows) else 3


@contextmanager
def _scratch(folder: Path | None) -> "Iterator[Path]":
    """Lend a folder for the time of a drill, which a signal ends in good order."""
    import tempfile

    from lockstream.cli.terminal import signals_interrupt

    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstream-drill-")))
        place.mkdir(parents=True, exist_ok=True)
        stack.enter_context(signals_interrupt())
        yield place


def _report_bridge(rows: "list[Row]") -> None:
    from lockstream.cli.bridge_report import HEADINGS
    from lockstream.cli.terminal import print_table

    print_table(HEADINGS, [row.cells() for row in rows])
    for row in rows:
        for fault in row.faults:
            click.echo(f"FAULT after {row.fault}: {fault}")


def _report(outcomes: "list[Outcome]") -> None:
    from lockstream.cli.terminal import print_table

    rows = [
        (
            o.fault,
            str(o.times),
            str(o.acknowledged),
            str(o.archived),
            str(o.acknowledged - o.archived),
            str(len(o.faults)),
            ", ".join(f"{count} {what}" for what, count in sorted(o.hits.items())),
        )
        for o in outcomes
    ]
    headings = ("fault", "times", "steps acknowledged", "archived", "lost", "doubled or torn", "caught")
    print_table(headings, rows)
    for outcome in outcomes:
        for fault in outcome.faults:
            click.echo(f"FAULT after {outcome.fault}: {fault}")
