"""`lockstream analyse`: one analysis worker; start several to share the work."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstream.cli.terminal import stop_flag

if TYPE_CHECKING:
    from lockstream.kafka.events import Until


@click.command()
@click.option(
    "--run", "runs", multiple=True, help="Analyse this run until it ends; repeatable. Default: all, for ever."
)
@click.option(
    "--archive", "folder", type=click.Path(path_type=Path), help="The archive folder. Default: archive."
)
@click.option("--field", help="The field to analyse. Default: each run's first two-dimensional one.")
@click.option("--group", help="Workers of one group share the work. Default: lockstream-analysis.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="A TOML file with [kafka], [analysis] and [archive]."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="As kafka.…, analysis.… or archive.…"
)
@click.option(
    "--until-ended", is_flag=True, help="Without --run: end when all runs that are there now have ended."
)
@click.option(
    "--until",
    type=click.Choice(["completed", "ended"]),
    default="ended",
    help="With --run: after a stop or a failure wait for the next attempt, or not. Default: ended.",
)
def analyse(
    runs: tuple[str, ...],
    folder: Path | None,
    field: str | None,
    group: str | None,
    config: Path | None,
    overrides: tuple[str, ...],
    until_ended: bool,
    until: "Until",
) -> int:
    """Analyse runs live: power spectrum and pattern scale of every step.

    Start it before, during or after the simulation, as often as you like: the workers share the runs, and
    when one of them dies the others go on with its part.
    """
    from lockstream.bridge.settings import convert, read_tables
    from lockstream.kafka.analysis.progress import terminal_report
    from lockstream.kafka.analysis.settings import AnalysisSettings
    from lockstream.kafka.analysis.worker import Worker
    from lockstream.kafka.archive.disk import writable_folder
    from lockstream.kafka.archive.settings import ArchiveSettings

    tables = read_tables(config, overrides=overrides)
    given = {key: text for key, text in (("field", field), ("group", group)) if text is not None}
    settings = convert(tables.get("analysis", {}) | given, AnalysisSettings, "analysis")
    table = tables.get("archive", {}) | ({"folder": str(folder)} if folder else {})
    archive = writable_folder(Path(convert(table, ArchiveSettings, "archive").folder))
    kafka = tables.get("kafka", {})
    awaited = runs or (_runs_there_are(kafka) if until_ended else ())
    with stop_flag() as stop:
        worker = Worker(kafka, settings, archive, runs, awaited, terminal_report(sys.stdout), until)
        click.echo(
            f"worker {worker.name} of group {settings.group}: analysing {', '.join(runs) or 'all runs'} "
            f"into {archive}"
        )
        is_complete = worker.follow(stop)
    if is_complete or not awaited:
        return 0
    click.echo("stopped before the end; start it again to go on", err=True)
    return 75


def _runs_there_are(kafka: dict[str, object]) -> tuple[str, ...]:
    from lockstream.kafka.errors import NoSuchRun
    from lockstream.kafka.log import Cluster

    if not (runs := tuple(Cluster(kafka).runs())):
        raise NoSuchRun(
            "Kafka has no run yet; leave out --until-ended to wait for one, or name it with --run"
        )
    return runs
