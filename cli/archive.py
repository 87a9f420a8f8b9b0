"""`lockstream archive`: follow runs into HDF5, verify them, look at them."""

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstream.cli.quarantine import quarantine
from lockstream.cli.terminal import print_table, stop_flag

if TYPE_CHECKING:
    from lockstream.kafka.archive.show import Description
    from lockstream.kafka.archive.verify import Verified
    from lockstream.kafka.events import Until

RANGES = 20  # of steps, in a line for people

_path = click.argument("path", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="For machines.")
_set = click.option(
    "--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="As kafka.… or archive.…"
)


@click.group()
def archive() -> None:
    """The archive: from Kafka to sealed HDF5, and the proof that nothing is missing."""


@archive.command()
@click.option(
    "--run", "runs", multiple=True, help="Follow this run until it ends; repeatable. Default: all, for ever."
)
@click.option(
    "--partition", "partitions", type=click.IntRange(min=0), multiple=True, help="Only this one; repeatable."
)
@click.option(
    "--archive", "folder", type=click.Path(path_type=Path), help="The archive folder. Default: archive."
)
@click.option(
    "--until",
    type=click.Choice(["completed", "ended"]),
    default="ended",
    help="With --run: after a stop or a failure wait for the next attempt, or not. Default: ended.",
)
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file with [kafka] and [archive].")
@_set
def follow(
    runs: tuple[str, ...],
    partitions: tuple[int, ...],
    folder: Path | None,
    until: "Until",
    config: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Archive runs as they are published; start it before, during or after the simulation."""
    from lockstream.bridge.settings import convert, read_tables
    from lockstream.kafka.archive.archiver import Archiver
    from lockstream.kafka.archive.settings import ArchiveSettings

    tables = read_tables(config, overrides=overrides)
    table = tables.get("archive", {}) | ({"folder": str(folder)} if folder else {})
    settings = convert(table, ArchiveSettings, "archive")
    with stop_flag() as stop:
        archiver = Archiver(tables.get("kafka", {}), settings, runs, partitions, _make_report(), until)
        click.echo(f"archiving {', '.join(runs) or 'all runs'} into {settings.folder}")
        is_complete = archiver.follow(stop)
    if is_complete or not runs:
        return 0
    click.echo("stopped before the end; start it again to go on", err=True)
    return 75


@archive.command()
@_path
@click.option("--against-kafka", is_flag=True, help="Read the runs' topics again and compare.")
@_set
@_json
def verify(path: Path, against_kafka: bool, overrides: tuple[str, ...], as_json: bool) -> int:
    """Prove that nothing at PATH is lost, duplicated or torn: exit 0 only then, otherwise 3."""
    import msgspec

    from lockstream.bridge.settings import read_tables
    from lockstream.kafka.archive.against_kafka import compare_with_kafka
    from lockstream.kafka.archive.layout import run_folders
    from lockstream.kafka.archive.verify import verify_run

    results = []
    for folder in run_folders(path):
        result = verify_run(folder)
        if against_kafka and not result.faults:
            kafka = read_tables(None, overrides=overrides).get("kafka", {})
            result = msgspec.structs.replace(result, faults=tuple(compare_with_kafka(folder, kafka)))
        results.append(result)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(results)).decode())
    else:
        for result in results:
            _show_verified(result)
    return 3 if any(result.faults for result in results) else 0


@archive.command()
@_path
@_json
def show(path: Path, as_json: bool) -> None:
    """Show what is archived at PATH."""
    import msgspec

    from lockstream.kafka.archive.layout import run_folders
    from lockstream.kafka.archive.show import describe

    descriptions = [describe(folder) for folder in run_folders(path)]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(descriptions)).decode())
    else:
        _show_descriptions(descriptions)


@archive.command()
@_path
def merge(path: Path) -> None:
    """Make one plain run.h5 of each run's segments at PATH; verified before the segments go."""
    from lockstream.kafka.archive.layout import run_folders
    from lockstream.kafka.archive.merge import merge_run

    for folder in run_folders(path):
        click.echo(f"{merge_run(folder)}")


@archive.command()
@_path
def xdmf(path: Path) -> None:
    """Write an XDMF sidecar for ParaView beside the run.h5 of each run at PATH."""
    from lockstream.kafka.archive.layout import run_folders
    from lockstream.kafka.archive.xdmf import write_xdmf

    for folder in run_folders(path):
        click.echo(f"{write_xdmf(folder)}")


@archive.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
def diff(first: Path, second: Path) -> int:
    """Compare a run in two archives bit for bit: exit 0 if they are equal, otherwise 3."""
    from lockstream.kafka.archive.diff import differences
    from lockstream.kafka.archive.layout import one_run

    a, b = one_run(first), one_run(second)
    found = 0
    for found, sentence in enumerate(differences(a, b), start=1):  # noqa: B007
        click.echo(sentence)
    click.echo(f"{found} differences" if found else f"{a} and {b} hold the same, bit for bit")
    return 3 if found else 0


@archive.command()
@_path
@click.option("--zarr", type=click.Path(path_type=Path), required=True, help="The Zarr store to write.")
def export(path: Path, zarr: Path) -> None:
    """Write the run at PATH as a Zarr store, through xarray."""
    from lockstream.bridge.errors import ConfigurationError
    from lockstream.kafka import open_run
    from lockstream.kafka.archive.export import write_zarr

    import_module("zarr")  # xarray's own complaint would not name the cure
    if zarr.exists():
        raise ConfigurationError("--zarr", str(zarr), "is there already; name a new store")
    with open_run(path) as dataset:
        try:
            write_zarr(dataset, zarr)
        except OSError as error:
            raise ConfigurationError("--zarr", str(zarr), f"cannot be written ({error.strerror})") from None
    click.echo(f"{zarr}")


archive.add_command(quarantine)


def _make_report() -> Any:
    """A line for every start, end and fault, and for each tenth of a second's worth of steps."""
    from lockstream.kafka.archive.progress import terminal_report

    return terminal_report(sys.stdout)


def _show_descriptions(descriptions: "list[Description]") -> None:
    from lockstream.kafka.archive.progress import told_of

    headings = (
        "run",
        "status",
        "steps",
        "attempts",
        "gaps",
        "quarantined",
        "raw MB",
        "stored MB",
        "in",
        "fields",
    )
    rows = [
        (
            d.run,
            d.status,
            f"{d.steps} ({d.first_step}..{d.last_step})" if d.steps else "0",
            str(d.attempts),
            str(d.gaps),
            str(d.quarantined),
            f"{d.raw_bytes / 1e6:.1f}",
            f"{d.stored_bytes / 1e6:.1f}",
            "one file" if d.is_merged and not d.segments else f"{d.segments} segments",
            "\n".join(d.fields),
        )
        for d in descriptions
    ]
    print_table(headings, rows)
    for d in descriptions:
        if d.gap_steps:
            reasons = ", ".join(sorted(set(d.gap_steps.values())))
            click.echo(f"  {d.run}: dropped by the producer: steps {_ranges(d.gap_steps)} ({reasons})")
        for command in d.steered:
            click.echo(f"  {d.run}: attempt {command.attempt}, {told_of(command)}")


def _show_verified(result: "Verified") -> None:
    classes = ", ".join(f"{count} {name}" for name, count in result.offsets.items() if count)
    for fault in result.faults:
        where = f" (offsets {fault.offsets[0]}..{fault.offsets[1]})" if fault.offsets else ""
        click.echo(f"FAULT {fault.file}: {fault.what}{where}")
    if result.gaps:
        click.echo(
            f"{result.run}: {len(result.gaps)} steps were dropped by the producer: {_ranges(result.gaps)}"
        )
    verdict = f"{len(result.faults)} FAULTS" if result.faults else "nothing lost, duplicated or torn"
    click.echo(
        f"{result.run}: {result.steps} steps, {result.bytes / 1e6:.1f} MB, offsets: {classes or 'none'}; {verdict}"
    )


def _ranges(steps: Iterable[int]) -> str:
    """Write step numbers shortly, e.g. ``4, 7..9``; at most the first few of many."""
    ranges: list[list[int]] = []
    for step in sorted(steps):
        if ranges and step == ranges[-1][1] + 1:
            ranges[-1][1] = step
        else:
            ranges.append([step, step])
    texts = [f"{first}..{last}" if last > first else f"{first}" for first, last in ranges[:RANGES]]
    return ", ".join(texts) + (f" and {len(ranges) - RANGES} more ranges" if len(ranges) > RANGES else "")
