"""Programs of an experiment say when they are ready, so that none is measured while it starts."""

import time

from lockstream.contrast.rig import ProgramFailed, Running

READY = "ready"
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.01


def say_ready() -> None:
    """Tell whoever started this program that it is ready."""
    print(READY, flush=True)  # noqa: T201 (the log of a program is how the rig hears of it)


def await_ready(*programs: Running) -> None:
    """Wait until all of `programs` are.

    Raises
    ------
    ProgramFailed
        One ended before, or is not ready in time.
    """
    limit = time.monotonic() + PATIENCE_SECONDS
    for program in programs:
        while READY not in program.child.new_lines():
            if program.child.exit_code is not None:
                program.answer(0)
                break  # it was ready and has already done its work
            if time.monotonic() > limit:
                raise ProgramFailed(f"{program.child.name} was not ready within {PATIENCE_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)
