"""`lockstream slurm`: job scripts that fit a site."""

from pathlib import Path

import click

from lockstream.bridge.errors import ConfigurationError
from lockstream.cli.job_scripts import LAUNCHERS, Site, render

_DEFAULT = Site()


@click.group()
def slurm() -> None:
    """Run simulations as jobs of Slurm, which go on by themselves behind their time limit."""


@slurm.command("render")
@click.argument("script", type=click.Choice(["simulate", "ensemble", "workflow"]), default="simulate")
@click.option("--nodes", type=int, default=_DEFAULT.nodes, show_default=True, help="For the simulation.")
@click.option("--ntasks", type=int, default=_DEFAULT.ntasks, show_default=True, help="MPI ranks.")
@click.option(
    "--time", default=_DEFAULT.time, show_default=True, help="Limit of one attempt, as Slurm writes it."
)
@click.option(
    "--warning",
    type=int,
    metavar="SECONDS",
    help="How long before the limit the simulation is told. Default: 300, or a quarter of a short limit.",
)
@click.option("--partition", default="", help="Default: the site's.")
@click.option("--account", default="", help="Default: the user's.")
@click.option("--config", default="", help="What is run if sbatch is given no other configuration.")
@click.option("--launcher", type=click.Choice(LAUNCHERS), default="srun", show_default=True)
@click.option(
    "--kafka",
    type=click.Choice(["external", "inside"]),
    default="external",
    show_default=True,
    help="inside: a broker and an archiver in the job itself.",
)
@click.option(
    "--brokers", type=int, default=_DEFAULT.brokers, show_default=True, help="Inside the job: 1 or 3."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A new file. Default: the terminal.")
def render_script(
    script: str,
    kafka: str,
    output: Path | None,
    nodes: int,
    ntasks: int,
    warning: int | None,
    brokers: int,
    **names: str,
) -> None:
    """Write a job script: a simulation, an ensemble of them, or a workflow of simulation, archiver and analysis.

    Every option can be overridden once more when the script is submitted, e.g. sbatch --time=12:00:00.
    """
    if kafka == "inside" and script != "simulate":
        raise ConfigurationError(
            "--kafka", kafka, f"{script} needs one that all its runs and nodes reach: external"
        )
    if kafka != "inside" and brokers != _DEFAULT.brokers:
        raise ConfigurationError("--brokers", brokers, "add --kafka inside: it is for a Kafka in the job")
    if script == "workflow" and names["launcher"] != "srun":
        raise ConfigurationError(
            "--launcher", names["launcher"], "only srun starts a part of a heterogeneous job"
        )
    site = Site(nodes=nodes, ntasks=ntasks, warning=warning, brokers=brokers, **names)
    text = render("simulate-with-kafka" if kafka == "inside" else script, site)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        cure = f"cannot be written ({error.strerror}); name a new file in a folder that exists"
        raise ConfigurationError("--output", str(output), cure) from error
    click.echo(f"wrote {output}; submit it with: sbatch {output} {names['config'] or 'CONFIG.toml'}")
