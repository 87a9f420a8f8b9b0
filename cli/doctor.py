"""`lockstream doctor`: looks at each place that a run needs, and says how to cure what is wrong."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lockstream.bridge.settings import Tables
    from lockstream.cli.checks.disks import Folder
    from lockstream.cli.checks.finding import Finding

PLACES = ("mpi", "kafka", "disks", "slurm")
FAULT = 3


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option(
    "--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="Replace a value of CONFIG."
)
@click.option("--only", multiple=True, type=click.Choice(PLACES), help="Look at this place; repeatable.")
@click.option("--mpirun", help="The launcher; left out, the one on PATH.")
@click.option("--probe", is_flag=True, help="Send a record through a topic of its own, and remove it again.")
@click.option("--json", "as_json", is_flag=True, help="For machines: a list of findings.")
def doctor(
    config: Path | None,
    overrides: tuple[str, ...],
    only: tuple[str, ...],
    mpirun: str | None,
    probe: bool,
    as_json: bool,
) -> int:
    """Look at MPI, Kafka, disks and Slurm as a run with CONFIG would find them, and say how to cure what is wrong.

    Run it where the run will be: on the login node for Kafka, in the job for the disks of the nodes. It exits with 3
    if there is a fault.
    """
    from lockstream.bridge.settings import read_tables
    from lockstream.cli.checks.finding import State

    tables = read_tables(config, overrides=overrides)
    findings = list(_all_findings(tables, config, only or PLACES, mpirun, probe))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    return FAULT if any(finding.state is State.FAULT for finding in findings) else 0


def _all_findings(
    tables: "Tables", config: Path | None, places: Iterable[str], mpirun: str | None, probe: bool
) -> Iterator["Finding"]:
    from lockstream.bridge.settings import StreamSettings, convert
    from lockstream.cli.checks.disks import check_disks
    from lockstream.cli.checks.kafka import check_kafka
    from lockstream.cli.checks.mpi import check_mpi
    from lockstream.cli.checks.slurm import check_slurm

    stream = convert(tables.get("stream", {}), StreamSettings, "stream")
    library = ""
    if "mpi" in places:
        for finding in check_mpi(mpirun):
            library = finding.found
            yield finding
    if "kafka" in places:
        run = tables.get("run", {}).get("id")
        yield from check_kafka(tables.get("kafka", {}), stream, run, is_probing=probe)
    if "disks" in places:
        yield from check_disks(_folders(tables, stream, config))
    if "slurm" in places:
        yield from check_slurm(library)


def _folders(tables: "Tables", stream: Any, config: Path | None) -> "Iterator[Folder]":
    from lockstream.bridge.settings import convert
    from lockstream.bridge.spool_place import spool_place
    from lockstream.cli.checks.disks import Folder
    from lockstream.kafka.archive.settings import ArchiveSettings
    from lockstream.mpi_jobs.config import CheckpointSettings

    archive = convert(tables.get("archive", {}), ArchiveSettings, "archive")
    checkpoint = convert(tables.get("checkpoint", {}), CheckpointSettings, "checkpoint")
    wanted = 2 * archive.segment_bytes
    yield Folder(what="archive", path=Path(archive.folder), setting="archive.folder", wanted=wanted)
    yield Folder(
        what="spool",
        path=spool_place(stream.spool),
        setting="stream.spool",
        wanted=stream.spool_bytes,
        is_hot=True,
    )
    yield Folder(what="checkpoints", path=Path(checkpoint.folder), setting="checkpoint.folder")


def _print(findings: Iterable["Finding"]) -> None:
    from lockstream.cli.checks.finding import State
    from lockstream.cli.terminal import print_table

    findings = list(findings)
    print_table(("", "place", "what", "found"), [(f.state.value, f.place, f.what, f.found) for f in findings])
    bad = [finding for finding in findings if finding.cure and finding.state is not State.UNKNOWN]
    for finding in bad:
        click.echo(f"\n{finding.state.value}: {finding.what}: {finding.found}\n  cure: {finding.cure}")
    if not bad:
        click.echo("\nNothing is wrong with what was looked at.")
