"""`lockstream archive quarantine`: records that could not be understood."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockstream.kafka.archive.quarantine import Quarantined

SHOWN_BYTES = 2000


@click.group()
def quarantine() -> None:
    """Records that could not be understood: list them, look at them, try them again."""


@quarantine.command(name="list")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_(path: Path, as_json: bool) -> None:
    """List the quarantined records of the runs at PATH, with the reason of each."""
    import msgspec

    from lockstream.kafka.archive.layout import run_folders
    from lockstream.kafka.archive.quarantine import quarantined

    found = [record for folder in run_folders(path) for record in quarantined(folder)]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    for record in found:
        offsets = f"{record.first}" if record.first == record.last else f"{record.first}..{record.last}"
        click.echo(f"{record.run}[{record.partition}] {offsets}: {record.reason}")
    click.echo(f"{_count(found)} records are quarantined")


@quarantine.command()
@click.argument("run")
@click.argument("offset", type=click.IntRange(min=0))
@click.option("--partition", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="As kafka.…")
def show(run: str, offset: int, partition: int, overrides: tuple[str, ...]) -> None:
    """Fetch a record of RUN from Kafka and show its headers and the beginning of its value."""
    from lockstream.bridge.settings import read_tables
    from lockstream.kafka.archive.quarantine import fetch_record

    options = read_tables(None, overrides=overrides).get("kafka", {})
    record = fetch_record(options, run, partition, offset)
    if record is None:
        click.echo(f"{run}[{partition}] has no record at offset {offset}")
        return
    for key, value in record.headers or ():
        click.echo(f"{key}: {value!r}")
    value = record.value
    click.echo("no value (a tombstone)" if value is None else f"{len(value)} bytes: {value[:SHOWN_BYTES]!r}")


@quarantine.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--into", type=click.Path(path_type=Path), required=True, help="An archive folder for the new try."
)
@click.option("--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="As kafka.… or archive.…")
def retry(path: Path, into: Path, overrides: tuple[str, ...]) -> None:
    """Archive the run at PATH once more with this version of Lockstream, and say what it understands now.

    Sealed files are never changed: the new try goes into another archive folder.
    """
    from lockstream.bridge.errors import ConfigurationError
    from lockstream.bridge.settings import convert, read_tables
    from lockstream.kafka.archive.layout import one_run
    from lockstream.kafka.archive.quarantine import quarantined
    from lockstream.kafka.archive.reprocess import reprocess
    from lockstream.kafka.archive.settings import ArchiveSettings
    from lockstream.kafka.archive.view import view_run

    tables = read_tables(None, overrides=overrides)
    settings = convert(tables.get("archive", {}) | {"folder": str(into)}, ArchiveSettings, "archive")
    run_folder = one_run(path)
    run = view_run(run_folder).source.run
    if (into / run).resolve() == run_folder.resolve():
        raise ConfigurationError("--into", str(into), "is where the run is; name another archive folder")
    again = reprocess(tables.get("kafka", {}), run, settings)
    before, after = ((len(view_run(f).steps), _count(quarantined(f))) for f in (run_folder, again))
    click.echo(f"{run_folder}: {before[0]} steps, {before[1]} records quarantined")
    click.echo(f"{again}: {after[0]} steps, {after[1]} records quarantined")


def _count(records: "Iterable[Quarantined]") -> int:
    return sum(record.last - record.first + 1 for record in records)
