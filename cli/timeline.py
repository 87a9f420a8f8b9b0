"""``lockstream timeline``: what each rank of a run was doing when, from the files of its phase timers."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--steps",
    metavar="FIRST:LAST",
    help="Time steps in the picture and in the trace; default: some, and all.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for what is written; default: FOLDER.")
def timeline(folder: Path, steps: str | None, out: Path | None) -> None:
    """Show what each rank was doing when: totals, a picture, and a trace for ui.perfetto.dev.

    FOLDER is what `lockstream simulate --phases FOLDER` or LOCKSTREAM_PHASES=FOLDER filled.
    """
    from lockstream.profiling.phases.report import write_report
    from lockstream.profiling.phases.run import read_run

    run = read_run(folder)
    for line in write_report(out or folder, run, parse_steps(steps) if steps else None):
        click.echo(line)


def parse_steps(text: str) -> tuple[int, int]:
    """Read ``FIRST:LAST``."""
    from lockstream.bridge.errors import ConfigurationError

    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise ConfigurationError("--steps", text, "must be FIRST:LAST, both included, e.g. 100:120")
    return int(first), int(last)
