"""`lockstream drill`: breaks things on purpose on a scratch set-up and reports what was lost."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lockstream.cli.archive_drill import Outcome


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
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=Path), help="Default: a temporary folder."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the random moments.")
def archive(kills: int, folder: Path | None, seed: int) -> int:
    """Kill the archiver at random moments of a live stream; stop it; kill the broker; then verify.

    Exit 0 only if every acknowledged step is archived once and whole.
    """
    import tempfile
    from contextlib import ExitStack

    from lockstream.cli.archive_drill import run_drill
    from lockstream.cli.terminal import signals_interrupt

    with ExitStack() as stack:
        place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstream-drill-")))
        place.mkdir(parents=True, exist_ok=True)
        stack.enter_context(signals_interrupt())
        outcomes = run_drill(place, kills, seed, click.echo)
    _report(outcomes)
    return 0 if all(outcome.is_clean for outcome in outcomes) else 3


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
