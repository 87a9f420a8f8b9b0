"""The phases as a trace for Perfetto (ui.perfetto.dev) and Chrome: the Trace Event Format, in JSON."""

from pathlib import Path
from typing import Any

import msgspec

from lockstream.profiling.phases.meetings import MEETINGS
from lockstream.profiling.phases.run import PhaseRun


def write_trace(path: Path, run: PhaseRun, window: tuple[int, int] | None = None) -> None:
    """Write a trace, ranks as processes.

    Parameters
    ----------
    path
        The JSON file.
    run
        What all ranks were doing.
    window
        Only the time steps from the first to the second, both included; left out, all.
    """
    trace = {
        "displayTimeUnit": "ns",
        "otherData": {
            "lost intervals": str(sum(line.lost for line in run.ranks)),
            "clock uncertainty [ns]": str(2 * max(line.uncertainty for line in run.ranks)),
        },
        "traceEvents": [event for rank in range(len(run.ranks)) for event in _events(run, rank, window)],
    }
    path.write_bytes(msgspec.json.encode(trace) + b"\n")


def _events(run: PhaseRun, rank: int, window: tuple[int, int] | None) -> list[dict[str, Any]]:
    """One rank's: its name, its place among the others, and a complete event (``X``) per interval, in µs."""
    line = run.ranks[rank]
    here: dict[str, Any] = {"pid": rank, "tid": 0}
    events = [
        {"ph": "M", "name": name, "args": args, **here}
        for name, args in (
            ("process_name", {"name": f"rank {rank} on {line.host}"}),
            ("process_sort_index", {"sort_index": rank}),
            ("thread_name", {"name": "phases"}),
        )
    ]
    first, last = window or (-1, 1 << 62)
    for begin, end, step, phase in zip(
        line.begin.tolist(), line.end.tolist(), line.step.tolist(), line.phase.tolist(), strict=True
    ):
        if first <= step <= last:
            name = run.names[phase]
            kind = "meeting" if name in MEETINGS else "work"
            times = {"ts": begin / 1e3, "dur": (end - begin) / 1e3}
            events.append({"ph": "X", "name": name, "cat": kind, "args": {"step": step}, **times, **here})
    return events
