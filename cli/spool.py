"""`lockstream spool`: what Kafka could not take yet, looked at, verified and delivered."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstream.cli.terminal import print_table, size, stop_flag

if TYPE_CHECKING:
    from lockstream.bridge.draining import Drain
    from lockstream.bridge.spool_report import SpoolReport

REPORT_SECONDS = 2.0

_path = click.argument("path", type=click.Path(path_type=Path), required=False)
_run = click.option("--run", "run_id", help="The spool of this run, in the spool folder.")
_config = click.option(
    "--config", type=click.Path(path_type=Path), help="A TOML file with [stream] and [kafka]."
)
_set = click.option(
    "--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="As stream.spool or kafka.…"
)
_json = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group()
def spool() -> None:
    """The spool: steps that Kafka could not take yet, kept on disk until they are delivered.

    PATH is a run's spool, or a folder of several; by default that of stream.spool.
    """


@spool.command()
@_path
@_run
@_config
@_set
@_json
def status(
    path: Path | None, run_id: str | None, config: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Show what is in the spools, and who uses them."""
    from lockstream.bridge.spool_report import describe_spool

    reports = [describe_spool(folder) for folder in _folders(path, run_id, _tables(config, overrides))]
    if as_json:
        _print_json(reports)
        return
    headings = ("run", "items", "size", "numbers", "attempts", "steps", "oldest", "in use by")
    rows = [
        (
            report.run,
            str(report.items),
            size(report.bytes),
            _span((report.first_seq, report.last_seq)) if report.items else "",
            _span(report.attempts),
            _span(report.steps),
            report.oldest,
            report.held_by,
        )
        for report in reports
    ]
    print_table(headings, rows)
    for report in reports:
        _show_faults(report)


@spool.command()
@_path
@_run
@_config
@_set
@_json
def verify(
    path: Path | None, run_id: str | None, config: Path | None, overrides: tuple[str, ...], as_json: bool
) -> int:
    """Read every byte of the spools and decode every record: exit 0 if all are sound, otherwise 3."""
    from lockstream.bridge.spool_report import verify_spool

    reports = [verify_spool(folder) for folder in _folders(path, run_id, _tables(config, overrides))]
    if as_json:
        _print_json(reports)
    else:
        for report in reports:
            _show_faults(report)
            tail = (
                f", and {report.unfinished_bytes} bytes of an unfinished one"
                if report.unfinished_bytes
                else ""
            )
            verdict = f"{len(report.faults)} FAULTS" if report.faults else "all sound"
            click.echo(f"{report.run}: {report.items} items, {size(report.bytes)}{tail}; {verdict}")
    return 3 if any(report.faults for report in reports) else 0


@spool.command()
@_path
@_run
@_config
@_set
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds that Kafka may stay silent before the command gives up.",
)
def drain(
    path: Path | None, run_id: str | None, config: Path | None, overrides: tuple[str, ...], timeout: float
) -> int:
    """Deliver the spools to Kafka and delete what is delivered; it can be stopped and started again."""
    from lockstream.bridge.spool import Spool
    from lockstream.bridge.spool_delivery import deliver

    tables = _tables(config, overrides)
    for folder in _folders(path, run_id, tables):
        with stop_flag() as stop, Spool(folder, 0) as held:
            for cut in held.cut_off:
                click.echo(f"{cut.file}: an unfinished item of {cut.size} bytes was cut off", err=True)
            run, waiting = held.about.run, held.items
            done = deliver(held, tables.get("kafka", {}), timeout, _progress(run, waiting), stop)
            click.echo(
                f"{run}: {done.items} items ({done.records} records, {size(done.bytes)}) delivered to "
                f"{held.about.topic}; {held.items} left"
            )
            if held.items:
                click.echo("stopped before the end; start it again to go on", err=True)
                return 75
    return 0


def _tables(config: Path | None, overrides: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    from lockstream.bridge.settings import read_tables

    return read_tables(config, overrides=overrides)


def _folders(path: Path | None, run_id: str | None, tables: dict[str, dict[str, Any]]) -> list[Path]:
    from lockstream.bridge.errors import ConfigurationError
    from lockstream.bridge.messages import is_run_id
    from lockstream.bridge.spool_folder import spool_folders
    from lockstream.bridge.spool_place import spool_place

    if run_id is not None and not is_run_id(run_id):
        raise ConfigurationError("--run", run_id, "is not a run id: a-z, 0-9, '-' and '_'")
    place = path or spool_place(str(tables.get("stream", {}).get("spool", "")))
    return spool_folders(place / run_id if run_id else place)


def _progress(run: str, waiting: int) -> Any:
    """Report how far it has come, every few seconds."""
    from time import monotonic

    last = monotonic()

    def report(drain: "Drain") -> None:
        nonlocal last
        if monotonic() - last >= REPORT_SECONDS:
            last = monotonic()
            click.echo(f"{run}: {drain.items} of {waiting} items delivered ({size(drain.bytes)})")

    return report


def _print_json(reports: "list[SpoolReport]") -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(reports)).decode())


def _show_faults(report: "SpoolReport") -> None:
    for fault in report.faults:
        click.echo(f"FAULT {report.run}: {fault}")


def _span(ends: tuple[int, ...]) -> str:
    return "" if not ends else str(ends[0]) if ends[0] == ends[-1] else f"{ends[0]}..{ends[-1]}"
