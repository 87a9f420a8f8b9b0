"""`lockstream profile`: a command with a profiler in every rank, and one report over all of them."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lockstream.bridge.errors import ConfigurationError
from lockstream.profiling.tools import TOOLS

if TYPE_CHECKING:
    from lockstream.profiling.results import Profile
    from lockstream.profiling.tools.tool import Choices

SHOWN = 8  # places on the terminal; the report has more
COMPARED = tuple(name for name in TOOLS if name != "timers")  # which need a program that marks its phases
_CONTEXT = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=_CONTEXT)
@click.option(
    "--tool",
    "tools",
    multiple=True,
    type=click.Choice(list(TOOLS)),
    help="Which profiler; repeatable with --compare. Default: cprofile, which is part of Python; "
    "with --compare, all but timers.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="New folder for the report. Default: profile-TOOL-TIME.",
)
@click.option(
    "--of",
    "watched",
    multiple=True,
    metavar="MODULE",
    help="Packages and modules whose lines are watched, by scalene and line; repeatable. Default: the program's.",
)
@click.option(
    "--cpu-only", "is_cpu_only", is_flag=True, help="Leave memory alone (scalene), which is faster."
)
@click.option(
    "--compare",
    is_flag=True,
    help="Run the command bare and under each tool in turn, and report how much each of them slows it down.",
)
@click.option(
    "--rounds", type=click.IntRange(2), default=5, show_default=True, help="How often, with --compare."
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def profile(
    tools: tuple[str, ...],
    folder: Path | None,
    watched: tuple[str, ...],
    is_cpu_only: bool,
    compare: bool,
    rounds: int,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND with a profiler in every rank and write one report over all of them.

    \b
        lockstream profile --tool scalene -- mpirun -n 2 lockstream simulate examples/heat.toml --no-stream
        lockstream profile -- mpirun -n 2 python solver.py
        lockstream profile --compare -- mpirun -n 2 python solver.py

    It exits as COMMAND does.
    """  # noqa: D301 - click's mark, not a backslash
    from lockstream.profiling.tools.tool import Choices

    choices = Choices(watched=watched, is_cpu_only=is_cpu_only)
    if compare:
        return _compare(command, tools or COMPARED, choices, folder or _new_folder("compare"), rounds)
    if len(tools) > 1:
        raise ConfigurationError("--tool", ", ".join(tools), "one at a time, or several with --compare")
    tool = tools[0] if tools else "cprofile"
    return _profile(command, tool, choices, folder or _new_folder(tool))


def _profile(command: tuple[str, ...], name: str, choices: Choices, folder: Path) -> int:
    from lockstream.profiling.report.profile import write_report
    from lockstream.profiling.run import profile_run
    from lockstream.profiling.tools import load_tool

    done = profile_run(command, load_tool(name), choices, folder)
    write_report(folder, done.profile, done.pictures)
    _show(done.profile)
    if done.exit_code:
        click.echo(f"lockstream: the command ended with exit code {done.exit_code}", err=True)
    click.echo(f"wrote {folder / 'report.html'}, report.md and report.json")
    return done.exit_code


def _compare(
    command: tuple[str, ...], names: tuple[str, ...], choices: Choices, folder: Path, rounds: int
) -> int:
    from lockstream.cli.terminal import print_table
    from lockstream.profiling.compare import compare_tools
    from lockstream.profiling.report.comparison import slowdown_rows, write_comparison

    comparison = compare_tools(command, names, choices, folder, rounds, click.echo)
    write_comparison(folder, comparison)
    print_table(("run", "slowdown", "range", "seconds"), slowdown_rows(comparison))
    for name, reason in comparison.left_out.items():
        click.echo(f"left out: {name}: {reason}", err=True)
    click.echo(f"wrote {folder / 'report.html'}, report.md and report.json")
    return 0


def _show(found: Profile) -> None:
    from lockstream.cli.terminal import print_table
    from lockstream.profiling.report.words import findings, place

    rows = [
        (place(spot), *(f"{share:.1%}" for share in spot.shares), f"{spot.imbalance:.2f}", spot.text[:60])
        for spot in found.spots[:SHOWN]
    ]
    ranks = [f"rank {rank}" for rank in range(len(found.rank_seconds))]
    click.echo(f"\n{shlex.join(found.command)}, under {found.tool}:")
    print_table(("where", *ranks, "imbalance", ""), rows)
    for sentence in findings(found):
        click.echo(sentence)


def _new_folder(what: str) -> Path:
    return Path(f"profile-{what}-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
