"""`lockstream demo`: the whole workflow on one machine, each part a process of its own."""

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

COLOURS = {"simulation": "cyan", "archiver": "green", "analysis": "magenta"}


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="lockstream-demo",
    show_default=True,
    help="Gets Kafka's data, the archive, the logs and the picture.",
)
@click.option("--ranks", type=click.IntRange(1, 64), default=2, show_default=True, help="MPI ranks.")
def demo(folder: Path, ranks: int) -> None:
    """Simulate, stream, analyse, archive, verify and draw: everything on this machine, nothing to set up."""
    from lockstream.cli.terminal import fetch_progress, signals_interrupt
    from lockstream.kafka.archive.disk import writable_folder
    from lockstream.kafka.broker import embedded_broker

    begun = time.monotonic()
    run = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    writable_folder(folder)
    _say("kafka", "starting an embedded Kafka")
    with (
        signals_interrupt(),
        fetch_progress() as progress,
        embedded_broker(folder / "broker", progress=progress) as broker,
    ):
        _say("kafka", f"Kafka {broker.kafka_version} answers at {broker.bootstrap_servers}")
        _run_workflow(folder, run, ranks, broker.bootstrap_servers)
        verified = _verify(folder / "archive" / run, broker.bootstrap_servers)
        picture = _draw(folder, run)
    _report(folder, run, verified, picture, time.monotonic() - begun)
    _show_next(folder, run, broker.bootstrap_servers)


def _run_workflow(folder: Path, run: str, ranks: int, servers: str) -> None:
    """Run simulation, archiver and analysis beside each other until all have done their part."""
    from lockstream.kafka.children import Children
    from lockstream.mpi_jobs.launch import mpirun_command

    logs, archive = folder / "logs" / run, folder / "archive"
    logs.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": servers, "PYTHONUNBUFFERED": "1"}
    config, summary = Path(__file__).with_name("demo.toml"), logs / "summary.json"
    lockstream = [sys.executable, "-m", "lockstream.cli"]
    simulate = [*lockstream, "simulate", str(config), "--set", f"run.id={run}", "--summary", str(summary)]
    follow = [
        "archive",
        "follow",
        "--run",
        run,
        "--archive",
        str(archive),
        "--set",
        "archive.segment_seconds=1",
    ]
    analyse = ["analyse", "--run", run, "--archive", str(archive), "--field", "v", "--group", run]
    with Children(logs, environment) as children:
        children.start("archiver", [*lockstream, *follow])
        children.start("analysis", [*lockstream, *analyse])
        children.start("simulation", [*mpirun_command(ranks), *simulate])
        for name, line in children.lines_until_end():
            _say(name, line)


def _verify(run_folder: Path, servers: str) -> Any:
    from lockstream.kafka.archive.against_kafka import compare_with_kafka
    from lockstream.kafka.archive.verify import verify_run
    from lockstream.kafka.errors import VerificationFailed

    verified = verify_run(run_folder)
    faults = verified.faults or compare_with_kafka(run_folder, {"bootstrap.servers": servers})
    if faults:
        raise VerificationFailed("; ".join(fault.what for fault in faults))
    _say(
        "verify", f"{verified.steps} steps re-read and compared with Kafka: nothing lost, duplicated or torn"
    )
    return verified


def _draw(folder: Path, run: str) -> Path:
    from lockstream.cli.picture import draw

    picture = folder / f"{run}.png"
    draw(folder / "archive" / run / "run.h5", folder / "archive" / run / "analysis.h5", "v", picture)
    return picture


def _report(folder: Path, run: str, verified: Any, picture: Path, seconds: float) -> None:
    import json

    from lockstream.cli.terminal import print_table

    simulated = json.loads((folder / "logs" / run / "summary.json").read_text())
    stream = simulated["stream"]
    share = simulated["observing_seconds"] / simulated["seconds"]
    rows: Sequence[tuple[str, str]] = (
        ("steps accepted by the bridge", str(stream["accepted"])),
        ("steps acknowledged by Kafka", str(stream["acknowledged"])),
        ("steps archived and verified", str(verified.steps)),
        ("bytes of fields", f"{verified.bytes / 1e6:.1f} MB"),
        ("simulation", f"{simulated['seconds']:.2f} s on {simulated['ranks']} ranks"),
        ("  of it, being observed", f"{simulated['observing_seconds']:.2f} s ({share:.1%})"),
        ("everything", f"{seconds:.1f} s"),
    )
    print_table(("", ""), rows)
    run_file = folder / "archive" / run / "run.h5"
    click.echo(f"\narchive  {run_file}\npicture  {picture}\nlogs     {folder / 'logs' / run}")


def _show_next(folder: Path, run: str, servers: str) -> None:
    archive = folder / "archive"
    click.echo("\nTry next:")
    click.echo(f"  lockstream archive show {archive}")
    click.echo(f"  python -c \"import xarray; print(xarray.open_dataset('{archive / run / 'run.h5'}'))\"")
    click.echo(f"  lockstream broker start --dir {folder / 'broker'}    # Kafka still has the run:")
    where = f"--set kafka.bootstrap.servers={servers}"
    click.echo(f"  lockstream archive follow --run {run} --archive again {where}    # archive it once more")
    click.echo(f"  lockstream archive diff {archive / run} again/{run}")


def _say(name: str, line: str) -> None:
    label = click.style(f"{name:<10} |", fg=COLOURS.get(name, "yellow"))
    click.echo(f"{label} {line}")
