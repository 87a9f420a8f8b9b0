"""What the archiver tells the terminal: starts, ends and faults at once, steps now and then."""

from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import TextIO

from lockstream.bridge.messages import Steered
from lockstream.kafka.events import CommandDone, Dropped, Ended, Event, Fault, Repeated, Started, Step

STEPS_EVERY_SECONDS = 2.0


def terminal_report(out: TextIO) -> Callable[[str, Event], None]:
    """Make a report function that writes plain lines to `out`."""
    steps: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    told: set[tuple[str, int, str]] = set()  # run, attempt and id of commands: each partition has them
    due = {"steps": monotonic() + STEPS_EVERY_SECONDS}

    def report(run: str, event: Event) -> None:
        if isinstance(event, Step) and not isinstance(event, Repeated):
            steps[run] += 1
            if monotonic() >= due["steps"]:
                due["steps"] = monotonic() + STEPS_EVERY_SECONDS
                print(f"{run}: {steps[run]} steps, newest {event.manifest.step}", file=out, flush=True)
            return
        if isinstance(event, CommandDone):
            key = (run, event.message.attempt, event.message.id)
            if key in told:
                return
            told.add(key)
        dropped[run] += isinstance(event, Dropped)
        if line := _line(event, steps[run], dropped[run]):
            print(f"{run}: {line}", file=out, flush=True)

    return report


def _line(event: Event, steps: int, dropped: int) -> str:
    match event:
        case Started():
            return f"attempt {event.message.attempt} started {event.message.started}"
        case Ended():
            gaps = f", {dropped} dropped" if dropped else ""
            return (
                f"{event.message.status} {event.message.reason}".rstrip() + f", {steps} steps archived{gaps}"
            )
        case Dropped():
            return f"step {event.message.step} was dropped by the producer: {event.message.reason}"
        case CommandDone():
            return told_of(event.message)
        case Fault():
            return f"QUARANTINED offsets {event.offsets[0]}..{event.offsets[-1]}: {event.reason}"
        case _:
            return ""


def told_of(command: Steered) -> str:
    """Say in a line what became of a command."""
    what = " ".join(filter(None, (command.command, command.key)))
    if command.refused:
        fate = f"refused: {command.refused}"
    else:
        fate = f"{command.old} -> {command.new}" if command.command in ("set", "every") else "done"
    said = f"step {command.step}: {what} by {command.who}, {fate}"
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in said)  # it goes to a terminal
