"""The observer effect: how much longer a command takes under each tool."""

import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lockstream.bridge.errors import LockstreamError, UserError
from lockstream.profiling.command import find_program
from lockstream.profiling.machine import this_machine
from lockstream.profiling.results import Bare, Comparison, Slowdown
from lockstream.profiling.run import Profiled, make_folder, profile_run, run_command
from lockstream.profiling.tools import load_tool
from lockstream.profiling.tools.tool import Choices

SPOTS = 10  # of each tool


def compare_tools(
    command: Sequence[str],
    names: Sequence[str],
    choices: Choices,
    folder: Path,
    rounds: int,
    say: Callable[[str], None],
) -> Comparison:
    """Run a command bare and under each tool, in rounds, so that what changes meanwhile hits all alike.

    Parameters
    ----------
    names
        Of tools; those that cannot be used here are left out.
    folder
        New or empty; gets the records of every run.
    rounds
        Each with two bare runs, one at its begin and one in its middle, and one under each tool.
    say
        Told what happens.

    Raises
    ------
    LockstreamError
        The command fails, bare or under a tool.
    """
    make_folder(folder)
    usable, left_out = _usable(names)
    machine, date = this_machine(), datetime.now(UTC).replace(microsecond=0)
    bare: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in usable}
    last: dict[str, Profiled] = {}
    for number in range(rounds):
        for name in _order(usable, number):
            say(f"round {number + 1} of {rounds}: {name or 'bare'}")
            if name:
                last[name] = profile_run(command, load_tool(name), choices, folder / f"{name}-{number}")
                _ensure_ended_well(last[name].exit_code, f"under {name}")
                seconds[name].append(last[name].seconds)
            else:
                code, taken = run_command([find_program(command[0]), *command[1:]])
                _ensure_ended_well(code, "without a tool")
                bare.append(taken)
    return Comparison(
        date=date.isoformat(),
        command=tuple(command),
        machine=machine,
        rounds=rounds,
        bare=noise(bare),
        tools=tuple(_slowdown(name, seconds[name], bare, last[name]) for name in usable),
        left_out=left_out,
    )


def noise(bare: Sequence[float]) -> Bare:
    """Return what bare runs say about noise, from pairs of the same round."""
    ratios = [second / first for first, second in zip(bare[::2], bare[1::2], strict=True)]
    return Bare(seconds=tuple(bare), low=min(ratios), high=max(ratios))


def ratios_to_bare(seconds: Sequence[float], bare: Sequence[float]) -> list[float]:
    """Return each round's ratio to the mean of the two bare runs of the same round."""
    return [
        taken / ((first + second) / 2)
        for taken, first, second in zip(seconds, bare[::2], bare[1::2], strict=True)
    ]


def _usable(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    usable, left_out = [], {}
    for name in dict.fromkeys(names):
        try:
            load_tool(name).ensure_usable()
        except UserError as error:
            left_out[name] = str(error)
        else:
            usable.append(name)
    return usable, left_out


def _order(names: Sequence[str], number: int) -> list[str]:
    """Return the runs of a round, "" for a bare one; each round begins with another tool."""
    turn = number % len(names) if names else 0
    turned = [*names[turn:], *names[:turn]]
    half = len(turned) // 2
    return ["", *turned[:half], "", *turned[half:]]


def _slowdown(name: str, seconds: Sequence[float], bare: Sequence[float], last: Profiled) -> Slowdown:
    ratios = ratios_to_bare(seconds, bare)
    return Slowdown(
        tool=name,
        unit=last.profile.unit,
        seconds=tuple(seconds),
        median=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        ranks=last.profile.rank_seconds,
        spots=last.profile.spots[:SPOTS],
    )


def _ensure_ended_well(code: int, how: str) -> None:
    if code:
        raise LockstreamError(
            f"the command ended with exit code {code} {how}; only runs that end well can be compared"
        )
