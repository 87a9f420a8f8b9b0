"""What the phases of a run say, written down: a page, data, the picture and the trace."""

from collections.abc import Sequence
from pathlib import Path

from lockstream.bridge.errors import ConfigurationError
from lockstream.profiling.phases.run import PhaseRun
from lockstream.profiling.phases.summary import PhaseSummary, PhaseTotal, summarise
from lockstream.profiling.phases.timeline import draw_timeline
from lockstream.profiling.phases.trace import write_trace
from lockstream.profiling.report.figures import svg_of
from lockstream.profiling.report.pages import write_pages
from lockstream.profiling.report.tables import Table
from lockstream.profiling.results import write_json

EXPLAINED = (
    "Seconds are those of a rank on average. Waiting lasts until the last rank has come to the same place. "
    "The critical path is what the time of the run consists of: where a rank waited, what the others did counts."
)


def write_report(folder: Path, run: PhaseRun, window: tuple[int, int] | None = None) -> Sequence[str]:
    """Write ``report.html``, ``report.md``, ``report.json``, ``timeline.svg``, ``timeline.png`` and ``trace.json``.

    Parameters
    ----------
    folder
        Where to; it is made if it is not there.
    run
        What all ranks were doing.
    window
        First and last time step for the picture and the trace; left out, some and all.

    Returns
    -------
    list of str
        What to tell on the terminal.

    Raises
    ------
    ConfigurationError
        If no interval of these steps is known, or the folder cannot be written.
    """
    figure, found = draw_timeline(run, window), summarise(run)
    picture, totals, findings = svg_of(figure), totals_table(found), notes(found)
    values = {
        "title": "What each rank was doing when",
        "findings": findings,
        "totals": totals,
        "picture": picture,
        "explained": EXPLAINED,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "report.json", found)
        write_pages(folder, "phases", values)
        (folder / "timeline.svg").write_text(picture)
        figure.savefig(folder / "timeline.png")
        write_trace(folder / "trace.json", run, window)
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); name another folder"
        raise ConfigurationError("--out", str(folder), problem) from None
    return [
        *totals.markdown.splitlines(),
        "",
        *findings,
        f"report: {folder / 'report.html'}, picture: {folder / 'timeline.png'}",
        f"trace: {folder / 'trace.json'}, for https://ui.perfetto.dev",
    ]


def totals_table(found: PhaseSummary) -> Table:
    """Return a row per phase."""
    head = ("phase", "share", "seconds", "longest", "longest / mean", "waiting", "critical path")
    return Table(head, tuple(map(_row, found.phases)))


def _row(phase: PhaseTotal) -> tuple[str, ...]:
    imbalance = "" if phase.imbalance is None else f"{phase.imbalance:.2f}"
    waited, path = (
        "not known" if value is None else f"{value:.4f}" for value in (phase.mean_waited, phase.path_seconds)
    )
    return (
        phase.name,
        f"{phase.share:.1%}",
        f"{phase.mean:.4f}",
        f"{phase.longest:.4f}",
        imbalance,
        waited,
        path,
    )


def notes(found: PhaseSummary) -> list[str]:
    """Return what has to be known of the figures, in sentences."""
    told = [f"{found.ranks} ranks on {', '.join(found.hosts)}, {found.seconds:.4g} s."]
    if found.waited_share is not None:
        told.append(
            f"{found.waited_share:.1%} of the ranks' time passed with waiting for the last of them to come."
        )
    if len(found.hosts) > 1:
        worst = found.clock_uncertainty_seconds * 1e6
        told.append(f"Times of two ranks may be off from each other by up to {worst:.1f} µs.")
    if found.lost:
        told.append(
            f"{found.lost} of {found.lost + found.intervals} intervals did not fit into the timers' memory: sums "
            f"are of all of them, picture and trace are whole up to {found.known_seconds:.4g} s only, and who waited "
            "for whom is not known; time fewer steps."
        )
    return told
