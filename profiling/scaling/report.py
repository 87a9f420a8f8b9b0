"""The report on a measurement of scaling: for people as HTML and Markdown, for machines as JSON."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lockstream.bridge.errors import ConfigurationError
from lockstream.profiling.machine import this_machine
from lockstream.profiling.report.figures import svg_of
from lockstream.profiling.report.pages import write_pages
from lockstream.profiling.report.tables import Table
from lockstream.profiling.results import write_json
from lockstream.profiling.scaling.analysis import analyse
from lockstream.profiling.scaling.fits import LEAST_ROUNDS
from lockstream.profiling.scaling.measure import Plan, measure
from lockstream.profiling.scaling.plot import draw_scaling
from lockstream.profiling.scaling.results import Part, Point, Scaling

BUSY = 0.5  # programs at work per core, apart from ours
EXPLAINED = (
    "Seconds of each phase on the critical path, mean of the rounds; they add up to the time of the run. To each phase "
    "t(p) = serial + shared / p is fitted; what is serial does not get shorter with more ranks. Negative: it shrinks "
    "faster than the ranks grow."
)
EXPLAINED_WEAK = (
    "Seconds of each phase on the critical path, mean of the rounds; they add up to the time of the run. To each phase "
    "t(p) = one + more (p - 1) is fitted: with the same work on each rank, no phase should take longer on more."
)


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
    """Write ``report.html``, ``report.md``, ``report.json`` and the plot; return what to tell on the terminal."""
    figure = draw_scaling(found)
    picture, points, sentences = svg_of(figure), points_table(found), finding(found)
    values = {
        "title": title(found),
        "found": found,
        "about": about(found),
        "findings": sentences,
        "points": points,
        "parts": parts_table(found),
        "picture": picture,
        "explained": EXPLAINED_WEAK if found.is_weak else EXPLAINED,
    }
    write_json(folder / "report.json", found)
    write_pages(folder, "scaling", values)
    (folder / "scaling.svg").write_text(picture)
    figure.savefig(folder / "scaling.png")
    return [
        *points.markdown.splitlines(),
        "",
        *sentences,
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


def title(found: Scaling) -> str:
    """Return what was measured, in a line."""
    ny, nx = found.shape
    kind, each = ("Weak", " per rank") if found.is_weak else ("Strong", "")
    return f"{kind} scaling of {found.model}, {ny} × {nx}{each}"


def about(found: Scaling) -> str:
    """Return when and where the figures were taken, in a sentence."""
    published = f"every {found.every}. published" if found.is_streaming else "none published"
    machine = found.machine
    return (
        f"{found.date}, {machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python}, load "
        f"{machine.load:.1f} before it began. {found.steps} steps, {published}, {found.rounds} rounds."
    )


def points_table(found: Scaling) -> Table:
    """Return a row per number of ranks."""
    speedup = "scaled speed-up" if found.is_weak else "speed-up"
    fraction = "Gustafson's fraction" if found.is_weak else "Karp–Flatt fraction"
    return Table(
        ("ranks", "seconds", speedup, "range", "efficiency", fraction, "fitted"),
        tuple(map(_point_row, found.points)),
    )


def _point_row(point: Point) -> tuple[str, ...]:
    return (
        str(point.ranks),
        f"{point.seconds:.3f}",
        f"{point.speedup:.2f}",
        f"{point.low:.2f} to {point.high:.2f}",
        f"{point.efficiency:.0%}",
        "" if point.serial_fraction is None else f"{point.serial_fraction:.3f}",
        "yes" if point.is_fitted else "no",
    )


def parts_table(found: Scaling) -> Table:
    """Return a row per phase: its seconds on the critical path on so many ranks, and what was fitted to them."""
    fitted = ("more per rank", "on one rank") if found.is_weak else ("serial", "shared")
    counts = tuple(f"{point.ranks} rank{'s' if point.ranks > 1 else ''}" for point in found.points)
    rows = [_part_row(part, part.name == found.culprit) for part in found.parts]
    totals = [sum(part.seconds[n] for part in found.parts) for n in range(len(counts))]
    fits = sum(part.constant for part in found.parts), sum(part.variable for part in found.parts)
    rows.append(
        ("all", *(f"{total:.3f}" for total in totals), f"{fits[0]:.3f}", "", f"{fits[1]:.3f}"),
    )
    return Table(("phase", *counts, fitted[0], "95 %", fitted[1]), tuple(rows))


def _part_row(part: Part, is_culprit: bool) -> tuple[str, ...]:
    return (
        f"▸ {part.name}" if is_culprit else part.name,
        *(f"{seconds:.3f}" for seconds in part.seconds),
        f"{part.constant:.3f}",
        "" if part.low is None or part.high is None else f"{part.low:.3f} to {part.high:.3f}",
        f"{part.variable:.3f}",
    )


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
        sentences.append(f"Most of it comes from {part.name}: {part.constant:.3g} s more with every rank.")
    else:
        constant = sum(each.constant for each in found.parts if each.constant > 0)
        sentences.append(
            f"Most of it comes from {part.name}: {part.constant:.3g} s that more ranks do not make shorter, "
            f"{part.constant / constant:.0%} of all such time."
        )
    rivals = [each.name for each in found.parts if each is not part and _may_be_more(each, part)]
    if rivals:
        sentences.append(f"The intervals do not rule out that it is {' or '.join(rivals)}.")
    if found.low is None and found.fraction > 0:
        sentences.append(f"Fewer than {LEAST_ROUNDS} rounds give no interval; take more with --rounds.")
    return sentences


def _may_be_more(one: Part, other: Part) -> bool:
    return one.high is not None and other.low is not None and one.high > other.low


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
            f"Other programs were at work when this began (load {load:.1f} on {cores} cores): trust neither times nor "
            "speed-ups until it is repeated on a quiet machine."
        )
    return warnings
