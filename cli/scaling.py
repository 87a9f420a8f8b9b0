"""``lockstream scaling``: how a simulation scales with its ranks, and which phase keeps it from scaling better."""

import shlex
import sys
from pathlib import Path

import click


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--ranks", default="1,2,4", show_default=True, metavar="N,N,…", help="Numbers of ranks, 1 among them."
)
@click.option("--weak", is_flag=True, help="Let the domain grow with the ranks, along y.")
@click.option("--rounds", default=7, show_default=True, help="How often each number of ranks is run.")
@click.option(
    "--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="Replace a value of CONFIG."
)
@click.option("--no-stream", is_flag=True, help="Compute only; no Kafka is needed.")
@click.option("--timeout", default=600.0, show_default=True, metavar="SECONDS", help="For one run.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("lockstream-scaling"),
    show_default=True,
    help="Folder for the report.",
)
def scaling(
    config: Path,
    ranks: str,
    weak: bool,
    rounds: int,
    overrides: tuple[str, ...],
    no_stream: bool,
    timeout: float,
    out: Path,
) -> None:
    """Run the simulation that CONFIG describes on several numbers of ranks, and fit Amdahl's law.

    With --weak the domain grows with the ranks, and Gustafson's law is fitted. The serial fraction is traced to the
    phase that it comes from.

    Every run that is not --no-stream publishes its steps, into a topic of its own that stays in Kafka until its
    retention ends.
    """
    from lockstream.profiling.scaling.measure import Plan
    from lockstream.profiling.scaling.report import check_folder, report_scaling, write_report

    check_folder(out)
    plan = Plan(
        config=config,
        overrides=overrides,
        ranks=parse_ranks(ranks),
        rounds=rounds,
        is_weak=weak,
        is_streaming=not no_stream,
        timeout=timeout,
    )
    command = shlex.join(["lockstream", *sys.argv[1:]])
    found = report_scaling(plan, command, lambda text: click.echo(text, err=True))
    for line in write_report(out, found):
        click.echo(line)


def parse_ranks(text: str) -> tuple[int, ...]:
    """Read ``1,2,4``."""
    from lockstream.bridge.errors import ConfigurationError

    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise ConfigurationError("--ranks", text, "must be whole numbers with commas between, e.g. 1,2,4")
    return tuple(sorted({int(word) for word in words}))
