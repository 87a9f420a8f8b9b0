"""`lockstream broker`: the embedded Kafka from the command line."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstream.bridge.errors import ConfigurationError
from lockstream.cli.terminal import fetch_progress, signals_interrupt, size

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lockstream.kafka.broker import BrokerInfo, BrokerStatus

_LOOPBACK = "127.0.0.1"
_OPEN = (
    "warning: Kafka listens on {host} with neither encryption nor authentication: whoever reaches that address can "
    "read, change and delete everything. On a cluster's private network only."
)

_folder = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="The broker's folder, with its data and logs. Default: $XDG_STATE_HOME/lockstream/broker.",
)


@click.group()
def broker() -> None:
    """Start, stop and look at the embedded Kafka: on this machine, no Docker, no root."""


@broker.command()
@_folder
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Default: that of the last start; at first 9092 if it is free. 0: any free one.",
)
@click.option("--heap", default="512m", show_default=True, help="The JVM's largest heap.")
@click.option("--foreground", is_flag=True, help="Stay, and stop the broker on SIGTERM or Ctrl-C.")
@click.option(
    "--host",
    default=_LOOPBACK,
    show_default=True,
    help="Listen on this interface: the name or address by which others reach it, on a private network only.",
)
@click.option(
    "--cluster",
    "meeting",
    type=click.Path(file_okay=False, path_type=Path),
    help="Be one node of a cluster, whose nodes find each other in this shared folder; with --foreground.",
)
@click.option(
    "--node", "number", type=int, help="Which node of the cluster: 1, 2 or 3; each has its own --dir."
)
@click.option("--of", "size", type=int, default=3, show_default=True, help="How many nodes the cluster has.")
def start(
    directory: Path | None,
    port: int | None,
    heap: str,
    foreground: bool,
    host: str,
    meeting: Path | None,
    number: int | None,
    size: int,
) -> None:
    """Start the broker and return when it serves clients; a later start continues with the same data."""
    from lockstream.kafka import broker as embedded

    if host not in (_LOOPBACK, "localhost"):
        click.echo(_OPEN.format(host=host), err=True)
    with fetch_progress() as progress:
        if meeting is not None:
            _check_node(directory, port, number, foreground)
            seat = embedded.Seat(folder=meeting, number=number or 0, size=size)
            _serve(embedded.embedded_node(directory, seat, host=host, heap=heap, progress=progress))
        elif foreground:
            _serve(embedded.embedded_broker(directory, port=port, host=host, heap=heap, progress=progress))
        else:
            with signals_interrupt():
                info = embedded.start(directory, port=port, host=host, heap=heap, progress=progress)
            _announce(info)


@broker.command()
@_folder
def stop(directory: Path | None) -> None:
    """Stop the broker; its data stays."""
    from lockstream.kafka import broker as embedded

    outcome = embedded.stop(directory)
    click.echo(
        {
            embedded.StopOutcome.NOT_RUNNING: "No broker was running.",
            embedded.StopOutcome.STOPPED: "The broker has stopped.",
            embedded.StopOutcome.KILLED: "The broker did not end when asked to and was killed.",
        }[outcome]
    )


@broker.command()
@_folder
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def status(context: click.Context, directory: Path | None, as_json: bool) -> None:
    """Tell whether the broker runs (exit 0) or not (exit 1), where it is and what it holds."""
    from lockstream.kafka import broker as embedded

    state = embedded.status(directory)
    facts = _facts(state)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo("The broker is running." if state.info else "The broker is not running.")
        shown = {key: value for key, value in facts.items() if key != "running" and value is not None}
        for key, value in shown.items():
            click.echo(
                f"  {key.replace('_', ' '):18} {size(state.data_bytes) if key == 'data_bytes' else value}"
            )
    context.exit(0 if state.info else 1)


@broker.command()
def fetch() -> None:
    """Only download what the broker needs, e.g. on a login node, for compute nodes without internet."""
    from lockstream.kafka import broker as embedded

    click.echo("Fetching Kafka and preparing a fast start: at most half a minute, the first time.")
    with fetch_progress() as progress:
        folder = embedded.fetch(progress)
    click.echo(f"All that the broker needs is in {folder}.")


def _check_node(directory: Path | None, port: int | None, number: int | None, foreground: bool) -> None:
    """Refuse what does not go with a node of a cluster."""
    if number is None or directory is None:
        raise ConfigurationError(
            "--cluster", "without --node or --dir", "say which node this is, and give it a folder of its own"
        )
    if port is not None:
        raise ConfigurationError("--port", port, "the nodes of a cluster take free ports and tell each other")
    if not foreground:
        raise ConfigurationError(
            "--cluster", "without --foreground", "add --foreground: a node stays with its job"
        )


def _serve(broker: "AbstractContextManager[BrokerInfo]") -> None:
    """Run the broker until we are told to end, or it ends."""
    from lockstream.kafka import broker as embedded

    try:
        with signals_interrupt(), broker as info:
            _announce(info)
            embedded.wait(info)
    except KeyboardInterrupt:
        pass  # the usual way to end
    click.echo("The broker has stopped.")


def _announce(info: "BrokerInfo") -> None:
    from lockstream.kafka.broker.ports import DEFAULT_PORT

    click.echo(f"Kafka {info.kafka_version} is running on Java {info.java_version} (pid {info.pid}).")
    click.echo(f"  bootstrap.servers  {info.bootstrap_servers}")
    click.echo(f"  folder             {info.directory}")
    click.echo(f"  log                {info.log}")
    if info.port != DEFAULT_PORT:
        click.echo("Tell the other commands where it is:")
        click.echo(f"  export LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS={info.bootstrap_servers}")


def _facts(state: "BrokerStatus") -> dict[str, object]:
    """Return the status as plain values, all keys always there."""
    info = state.info
    return {
        "running": info is not None,
        "pid": info and info.pid,
        "port": info and info.port,
        "bootstrap_servers": info and info.bootstrap_servers,
        "cluster_id": state.cluster_id,
        "kafka_version": info and info.kafka_version,
        "java_version": info and info.java_version,
        "data_bytes": state.data_bytes,
        "folder": str(state.directory),
        "log": str(state.log),
    }
