"""Results as pictures: SVG text, which a page shows sharp on a screen and on paper."""

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lockstream.contrast.report.tables import STYLES, usual
from lockstream.contrast.results import Fit, Latency, Measurement, Throughput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart by the colour-blind too (Okabe and Ito), and by the marker where there is no colour.
COLOURS = {"mpi": "#0072B2", "kafka": "#D55E00"}
MARKERS = {"mpi": "o", "kafka": "s"}
LINES = ("-", "--", ":", "-.")
COLUMNS = 4
PANEL = (2.9, 2.5)  # inches


def latency_plot(measurements: Iterable[Measurement]) -> str:
    """Draw the median time of every exchange over the size, with the interval of the median."""
    chosen = usual(measurements)

    def draw(panel: Any, group: Sequence[Measurement], style: str, line: str, label: str) -> None:
        _curve(panel, [(m.nbytes, m.latency) for m in group], style, line, label)

    return _panels(chosen, draw, "time, s")


def throughput_plot(measurements: Iterable[Measurement]) -> str:
    """Draw the throughput over the size, with the interval of the median."""
    chosen = [m for m in usual(measurements) if m.throughput]

    def draw(panel: Any, group: Sequence[Measurement], style: str, line: str, label: str) -> None:
        _curve(panel, [(m.nbytes, m.throughput) for m in group if m.throughput], style, line, label)

    return _panels(chosen, draw, "bytes per second")


def fit_plot(fits: Iterable[Fit]) -> str:
    """Draw what the model foretells against what was measured; on the diagonal it is right."""
    figure = _figure((4.6, 4.2))
    panel = figure.subplots()
    points = [(fit, point) for fit in fits for point in fit.points]
    everything = [t for _, point in points for t in (point.measured, point.predicted) if t > 0]
    low, high = min(everything), max(everything)
    panel.fill_between([low, high], [low / 2, high / 2], [low * 2, high * 2], color="0.9", label="within 2×")
    panel.loglog([low, high], [low, high], color="0.5", linewidth=0.8)
    for style, name in STYLES.items():
        for is_new in (False, True):
            chosen = [p for fit, p in points if fit.style == style and (p.nbytes in fit.held_out) == is_new]
            panel.loglog(
                [p.measured for p in chosen],
                [p.predicted for p in chosen],
                MARKERS[style],
                markersize=4,
                color=COLOURS[style],
                markerfacecolor=COLOURS[style] if is_new else "none",
                label=f"{name}, {'foretold' if is_new else 'fitted'}",
            )
    panel.set(xlabel="measured, s", ylabel="model, s")
    panel.legend(fontsize=7)
    return _svg(figure)


def _curve(
    panel: Any, points: Sequence[tuple[int, Latency | Throughput]], style: str, line: str, label: str
) -> None:
    """Draw medians over sizes, and their intervals as a shade."""
    sizes = [
        max(nbytes, 1) for nbytes, _ in points
    ]  # a logarithmic axis has no place for a barrier's nothing
    low, median, high = ([getattr(found, what) for _, found in points] for what in ("low", "median", "high"))
    colour = COLOURS[style]
    panel.loglog(sizes, median, line, marker=MARKERS[style], markersize=3, color=colour, label=label)
    panel.fill_between(sizes, low, high, color=colour, alpha=0.2, linewidth=0)


def _panels(measurements: Sequence[Measurement], draw: Any, ylabel: str) -> str:
    """One panel per exchange, one line per style and number of participants."""
    patterns = list(dict.fromkeys(m.pattern for m in measurements))
    rows = max(-(-len(patterns) // COLUMNS), 1)
    columns = min(max(len(patterns), 1), COLUMNS)
    figure = _figure((columns * PANEL[0], rows * PANEL[1] + 0.4))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    counts = sorted({m.participants for m in measurements})
    for n, panel in enumerate(panels.flat):
        if n >= len(patterns):
            panel.set_visible(False)
            continue
        for style, name in STYLES.items():
            for count, line in zip(counts, LINES, strict=False):
                group = [
                    m
                    for m in measurements
                    if (m.pattern, m.style, m.participants) == (patterns[n], style, count)
                ]
                if group:
                    draw(panel, sorted(group, key=lambda m: m.nbytes), style, line, f"{name}, {count}")
        panel.set_title(patterns[n], fontsize=9)
        panel.grid(visible=True, which="major", color="0.9", linewidth=0.6)
        panel.minorticks_off()  # many decades have too many of them to be read
        panel.tick_params(labelsize=7)
    for panel in panels[:, 0]:
        panel.set_ylabel(ylabel, fontsize=8)
    for panel in panels[-1]:
        panel.set_xlabel("bytes", fontsize=8)
    handles: dict[str, Any] = {}
    for panel in panels.flat:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="outside upper center", ncols=6, fontsize=8, frameon=False
    )
    return _svg(figure)


def _figure(inches: tuple[float, float]) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=inches, layout="constrained")


def _svg(figure: "Figure") -> str:
    """Return the figure as an `svg` element, the same for the same figures."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "lockstream", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
