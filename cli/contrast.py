"""`lockstream contrast`: the same exchanges in MPI and in Kafka, with a report."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lockstream.contrast.parts import PARTS

if TYPE_CHECKING:
    from lockstream.contrast.results import Results

_OUT = "out", "--out"


@click.group(invoke_without_command=True)
@click.option(
    "--quick", is_flag=True, help="A rough answer in under three minutes; the whole takes up to half an hour."
)
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="This part only; repeatable.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="lockstream-contrast",
    show_default=True,
    help="Gets report.html, report.md, the pictures and results.json.",
)
@click.pass_context
def contrast(context: click.Context, quick: bool, parts: Sequence[str], out: Path) -> None:
    """Measure both styles of messaging on this machine, and write a report.

    Exchanges: eight patterns, from one byte to 64 MiB. Experiments: a slow participant, a crashed one, a late one,
    a lost broker and more. Ways: one workflow all in MPI, all in Kafka and over the bridge.
    """
    if context.invoked_subcommand:
        return
    from lockstream.bridge.errors import LockstreamError
    from lockstream.cli.terminal import fetch_progress, print_table, signals_interrupt
    from lockstream.contrast.lab import lab, run_lab
    from lockstream.contrast.report.page import JSON, write_report
    from lockstream.kafka.archive.disk import writable_folder

    begun = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - begun:6.1f} s  {text}")

    writable_folder(out, *_OUT)
    with _scratch(out) as scratch:
        with (
            signals_interrupt(),
            fetch_progress() as progress,
            lab(scratch, is_quick=quick, progress=progress) as (rig, kafka),
        ):
            results = run_lab(rig, kafka, say, parts or PARTS)
        page = write_report(out, results)
        if results.verdicts:
            click.echo()
            print_table(("you want", "use"), [(verdict.need, verdict.use) for verdict in results.verdicts])
        click.echo(f"\nreport   {page}\nresults  {page.with_name(JSON)}")
        if results.failures:
            parts = ", ".join(failure.part for failure in results.failures)
            raise LockstreamError(f"not measured: {parts}; the report says why, and {scratch} has the logs")


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Lend a folder that is gone in the end, unless there was an error: then it has the logs."""
    folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=out))
    try:
        yield folder
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


@contrast.command()
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Gets the report. Default: the folder of RESULTS.",
)
def report(results: Path, out: Path | None) -> None:
    """Write the report of earlier results.json anew."""
    from lockstream.contrast.report.page import write_report
    from lockstream.kafka.archive.disk import writable_folder

    found = _read(results)
    click.echo(f"report   {write_report(writable_folder(out or results.parent, *_OUT), found)}")


@contrast.command("scale-out")
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--ranks", default=10_000, show_default=True, help="Of the job.")
@click.option("--ranks-per-node", default=128, show_default=True)
@click.option("--mebibytes", default=1.0, show_default=True, help="MiB that each rank has of a frame.")
@click.option("--interval", default=10.0, show_default=True, help="Seconds from one frame to the next.")
@click.option(
    "--nic", default=12.5, show_default=True, help="GB/s of a node's network interface, and of a broker's."
)
@click.option(
    "--disk", default=2.0, show_default=True, help="GB/s that a broker's disk takes in the long run."
)
@click.option(
    "--reader", default=0.25, show_default=True, help="GB/s that one consumer takes from a partition."
)
@click.option("--readers", default=1, show_default=True, help="Consumers that read everything.")
@click.option("--brokers", default=3, show_default=True)
@click.option("--replication", default=3, show_default=True)
def scale_out(results: Path, mebibytes: float, nic: float, disk: float, reader: float, **job: Any) -> None:
    """Compute what becomes of the bridge on many ranks, from the exchanges in RESULTS (a results.json)."""
    from lockstream.cli.terminal import print_table
    from lockstream.contrast.extrapolate import scale_out as estimate
    from lockstream.contrast.report.tables import experiment_table
    from lockstream.contrast.ten_thousand_ranks import experiment, with_fits

    found = _read(results)
    given = with_fits(
        found.fits,
        found.machine.cores,
        bytes_per_rank=int(mebibytes * 2**20),
        nic_bytes_per_second=nic * 1e9,
        broker_nic_bytes_per_second=nic * 1e9,
        broker_disk_bytes_per_second=disk * 1e9,
        reader_bytes_per_second=reader * 1e9,
        **job,
    )
    computed = experiment(estimate(given))
    table = experiment_table(computed)
    click.echo(f"{computed.method}\n")
    print_table(table.headings, table.rows)
    click.echo(f"\n{computed.finding}")


def _read(path: Path) -> "Results":
    import msgspec

    from lockstream.bridge.errors import ConfigurationError
    from lockstream.contrast.results import read_results

    try:
        return read_results(path)
    except msgspec.DecodeError as error:
        cure = f"give it a results.json that `lockstream contrast` wrote ({error})"
        raise ConfigurationError("RESULTS", str(path), cure) from None
