"""The report on a measurement of scaling: for people as HTML and Markdown, for machines as JSON."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lockstream.bridge.errors import ConfigurationError
from lockstream.profiling.machine import this_machine
from lockstream.profiling.results import write_json
from lockstream.profiling.scaling.analysis import analyse
from lockstream.profiling.scaling.measure import Plan, measure
from lockstream.profiling.scaling.plot import draw_scaling
from lockstream.profiling.scaling.results import Part, Point, Scaling

BUSY = 0.5  # programs at work per core, apart from ours


def report_scaling(plan: Plan, command: str, say: Callable[[str], None]) -> Scaling:
    """Measure what is planned and make sense of it.

    Parameters
    ----------
    plan
        What to run.
    command
        How it was asked for, for the report.
    say
        Is told of each run.
    """
    machine = this_machine()
    configuration = plan.configuration(1)
    begun = datetime.now(UTC).isoformat(timespec="seconds")
    samples = measure(plan, say)
    fraction, low, high, culprit, points, parts = analyse(samples, machine.cores, is_weak=plan.is_weak)
    return Scaling(
        date=begun,
        machine=machine,
        is_weak=plan.is_weak,
        command=command,
        model=configuration.run.model,
        shape=configuration.domain.shape,
        steps=configuration.run.steps,
        every=configuration.stream.every,
        is_streaming=plan.is_streaming,
        rounds=plan.rounds,
        fraction=fraction,
        low=low,
        high=high,
        culprit=culprit,
        points=points,
        parts=parts,
        warnings=tuple(warnings_about(plan, machine.cores, machine.load, points)),
        samples=samples,
    )


def write_report(folder: Path, found: Scaling) -> Sequence[str]:
    """Write ``report.json``, ``report.md``, ``report.html`` and the plot; return what to tell on the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", found)
    (folder / "report.md").write_text(as_markdown(found))
    figure = draw_scaling(found)
    figure.savefig(folder / "scaling.svg")
    figure.savefig(folder / "scaling.png")
    return [
        *points_table(found).splitlines(),
        "",
        *finding(found),
        *found.warnings,
        f"report: {folder / 'report.html'}",
    ]


def check_folder(folder: Path) -> None:
    """Find out before the runs whether the report can be written.

    Raises
    ------
    ConfigurationError
        If not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            "--out", str(folder), f"cannot be made ({error.strerror}); name another"
        ) from None
    if not os.access(folder, os.W_OK):
        raise ConfigurationError("--out", str(folder), "cannot be written; name another folder")


def as_markdown(found: Scaling) -> str:
    """Return the whole report."""
    kind = "Weak" if found.is_weak else "Strong"
    ny, nx = found.shape
    published = f"every {found.every}. step published" if found.is_streaming else "nothing published"
    machine = found.machine
    return "\n".join(
        [
            f"# {kind} scaling of {found.model}, {ny} × {nx}{' per rank' if found.is_weak else ''}",
            "",
            f"{found.date}, {machine.processor}, {machine.cores} cores, Python {machine.python}, load "
            f"{machine.load:g} before. {found.steps} steps, {published}, {found.rounds} rounds.",
            "",
            f"    {found.command}",
            "",
            *(f"> {warning}" for warning in found.warnings),
            "",
            points_table(found),
            "",
            *finding(found),
            "",
            "![speed-up](scaling.svg)",
            "",
            parts_table(found),
            "",
        ]
    )


def points_table(found: Scaling) -> str:
    """Return a row per number of ranks."""
    name = "Gustafson's" if found.is_weak else "Karp–Flatt"
    speedup = "scaled speed-up" if found.is_weak else "speed-up"
    rows = [
        f"| ranks | seconds | {speedup} | of the rounds | efficiency | {name} fraction | |",
        "|---:|---:|---:|---|---:|---:|---|",
    ]
    return "\n".join(rows + [_point_row(point) for point in found.points])


def _point_row(point: Point) -> str:
    alone = "" if point.serial_fraction is None else f"{point.serial_fraction:.3f}"
    note = "" if point.is_fitted else "not fitted"
    return (
        f"| {point.ranks} | {point.seconds:.3f} | {point.speedup:.2f} | {point.low:.2f} to {point.high:.2f} "
        f"| {point.efficiency:.0%} | {alone} | {note} |"
    )


def parts_table(found: Scaling) -> str:
    """Return a row per phase: its seconds on the critical path on so many ranks, and what was fitted to them."""
    ranks = [point.ranks for point in found.points]
    fitted = ("more per rank", "on one rank") if found.is_weak else ("serial", "shared")
    names = ["phase", *(f"{p} rank{'s' if p > 1 else ''}" for p in ranks), f"{fitted[0]} (95 %)", fitted[1]]
    rows = ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]
    rows += [_part_row(part, part.name == found.culprit) for part in found.parts]
    totals = [sum(part.seconds[n] for part in found.parts) for n in range(len(ranks))]
    cells = [f"{total:.3f}" for total in totals]
    cells += [f"{sum(part.constant for part in found.parts):.3f}"]
    cells += [f"{sum(part.variable for part in found.parts):.3f}"]
    return "\n".join([*rows, "| all | " + " | ".join(cells) + " |"])


def _part_row(part: Part, is_culprit: bool) -> str:
    name = f"**{part.name}**" if is_culprit else part.name
    spread = "" if part.low is None or part.high is None else f" ({part.low:.3f} to {part.high:.3f})"
    times = [f"{seconds:.3f}" for seconds in part.seconds]
    return "| " + " | ".join([name, *times, f"{part.constant:.3f}{spread}", f"{part.variable:.3f}"]) + " |"


def finding(found: Scaling) -> list[str]:
    """Return what the figures mean, in sentences."""
    law = "Gustafson's" if found.is_weak else "Amdahl's"
    spread = (
        ""
        if found.low is None or found.high is None
        else f", 95 % interval {found.low:.3f} to {found.high:.3f}"
    )
    slower = [point.ranks for point in found.points if point.is_fitted and point.speedup < 1]
    sentences = [f"Serial fraction that fits best ({law} law): {found.fraction:.3f}{spread}."]
    if slower:
        shown = ", ".join(map(str, slower))
        sentences.append(
            f"{shown} ranks were slower than one: no law with a serial fraction up to 1 describes that."
        )
    if not found.culprit:
        return [*sentences, "No phase stands out that more ranks would not make shorter."]
    part = next(part for part in found.parts if part.name == found.culprit)
    if found.is_weak:
        return [*sentences, f"It comes from {part.name}: {part.constant:.3g} s more with every rank."]
    constant = sum(each.constant for each in found.parts if each.constant > 0)
    sentences.append(
        f"It comes from {part.name}: {part.constant:.3g} s that more ranks do not make shorter, "
        f"{part.constant / constant:.0%} of all such time."
    )
    if found.low is None and found.fraction > 0:
        sentences.append("Fewer than 3 rounds give no interval; take more with --rounds.")
    return sentences


def warnings_about(plan: Plan, cores: int, load: float, points: Sequence[Point]) -> list[str]:
    """Return why the figures may not be the program's own, in sentences."""
    warnings = []
    above = [point.ranks for point in points if point.ranks > cores]
    if above:
        shown = ", ".join(map(str, above))
        left = (
            "they are left out of the fit"
            if not any(p.is_fitted for p in points if p.ranks in above)
            else ("too few others are left to fit, so the fraction is not one of the program")
        )
        warnings.append(
            f"{shown} ranks share {cores} cores: that is oversubscription, which no law of scaling describes; {left}."
        )
    if plan.is_streaming and any(point.ranks == cores for point in points):
        warnings.append(
            f"With {cores} ranks on {cores} cores the publisher's process, and Kafka if it runs here, has no core "
            "of its own: what it takes from the ranks counts as theirs."
        )
    if load > BUSY * cores:
        warnings.append(
            f"Other programs were at work when this began (load {load:g} on {cores} cores): trust neither times nor "
            "speed-ups until it is repeated on a quiet machine."
        )
    return warnings
