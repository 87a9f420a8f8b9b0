"""What an analysis worker tells the terminal: starts, ends, files and faults at once, steps now and then."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TextIO

from lockstream.bridge.errors import LockstreamError
from lockstream.kafka.analysis.messages import SpectrumResult
from lockstream.kafka.analysis.partition import Lost
from lockstream.kafka.analysis.worker import Found
from lockstream.kafka.events import Dropped, Ended, Fault, Started

STEPS_EVERY_SECONDS = 2.0


def terminal_report(out: TextIO) -> Callable[[str, Found], None]:
    """Make a report function that writes plain lines to `out`."""
    steps: Counter[str] = Counter()
    due = {"steps": monotonic() + STEPS_EVERY_SECONDS}

    def report(run: str, found: Found) -> None:
        if isinstance(found, SpectrumResult):
            steps[run] += 1
            if monotonic() >= due["steps"]:
                due["steps"] = monotonic() + STEPS_EVERY_SECONDS
                print(f"{run}: {steps[run]} steps here, {_newest(found)}", file=out, flush=True)
        elif line := _line(found, steps[run]):
            print(f"{run}: {line}", file=out, flush=True)

    return report


def _newest(result: SpectrumResult) -> str:
    if result.pattern_scale is None:
        return f"newest {result.step}, {result.field} has no pattern"
    units = "" if result.length_units == "1" else f" {result.length_units}"
    return f"newest {result.step}, pattern scale of {result.field} {result.pattern_scale:.4g}{units}"


def _line(found: Found, steps: int) -> str:
    match found:
        case Started():
            return f"attempt {found.message.attempt} started {found.message.started}"
        case Ended():
            return (
                f"{found.message.status} {found.message.reason}".rstrip() + f", {steps} steps analysed here"
            )
        case Dropped():
            return f"step {found.message.step} was dropped by the producer: {found.message.reason}"
        case Lost():
            return f"LOST offsets {found.offsets[0]}..{found.offsets[-1]}: deleted before they were analysed"
        case Fault():
            return f"UNUSABLE offsets {found.offsets[0]}..{found.offsets[-1]}: {found.reason}"
        case LockstreamError():
            return f"LEFT OUT: {found}"
        case Path():
            return f"results are in {found}"
        case _:
            return ""
