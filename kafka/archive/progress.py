"""What the archiver tells the terminal: starts, ends and faults at once, steps now and then."""

from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import TextIO

from lockstream.kafka.events import Dropped, Ended, Event, Fault, Repeated, Started, Step

STEPS_EVERY_SECONDS = 2.0


def terminal_report(out: TextIO) -> Callable[[str, Event], None]:
    """Make a report function that writes plain lines to `out`."""
    steps: Counter[str] = Counter()
    due = {"steps": monotonic() + STEPS_EVERY_SECONDS}

    def report(run: str, event: Event) -> None:
        if isinstance(event, Step) and not isinstance(event, Repeated):
            steps[run] += 1
            if monotonic() >= due["steps"]:
                due["steps"] = monotonic() + STEPS_EVERY_SECONDS
                print(f"{run}: {steps[run]} steps, newest {event.manifest.step}", file=out, flush=True)
        elif line := _line(event, steps[run]):
            print(f"{run}: {line}", file=out, flush=True)

    return report


def _line(event: Event, steps: int) -> str:
    match event:
        case Started():
            return f"attempt {event.message.attempt} started {event.message.started}"
        case Ended():
            return f"{event.message.status} {event.message.reason}".rstrip() + f", {steps} steps archived"
        case Dropped():
            return f"step {event.message.step} was dropped by the producer: {event.message.reason}"
        case Fault():
            return f"QUARANTINED offsets {event.offsets[0]}..{event.offsets[-1]}: {event.reason}"
        case _:
            return ""
