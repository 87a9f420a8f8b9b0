"""`lockstream` in a process that SIGKILLs itself at a moment: ``python -m support.mortal MOMENT WORD…``."""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import count
from typing import Any

from lockstream.cli.main import main

# Function of lockstream.kafka.archive, how many calls of it pass, whether the next one is still carried out.
MOMENTS: dict[str, tuple[str, int, bool]] = {
    "a segment is being written": ("segment.write_tile", 17, False),
    "a segment is written and not yet closed": ("segment.write_scalars", 2, True),
    "a segment is closed and has no name": ("segment.publish_new", 2, False),
    "a segment has both names": ("layout.os.link", 2, True),
    "a segment has just been sealed": ("segment.publish_new", 2, True),
    "run.h5 is being renewed": ("run_file._link", 1, True),
    "run.h5 is renewed and not in place": ("run_file.replace", 0, False),
    "a merge copies chunks": ("run_file._indices", 6, True),
    "a merge is written and not verified": ("merge.verify_merged", 0, False),
    "a merge is verified and not in place": ("merge.adopt_merged", 0, False),
    "a merge is in place beside its segments": ("run_file.segment_paths", 1, True),
}


def mortal(function: Callable[..., Any], passes: int, is_last_carried_out: bool) -> Callable[..., Any]:
    calls = count()

    def call(*args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == passes
        result = function(*args, **kwargs) if is_last_carried_out or not is_last else None
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


if __name__ == "__main__":
    moment = sys.argv.pop(1)
    path, passes, is_last_carried_out = MOMENTS[moment]
    names = path.split(".")
    holder: Any = import_module(f"lockstream.kafka.archive.{names[0]}")
    for name in names[1:-1]:
        holder = getattr(holder, name)
    setattr(holder, names[-1], mortal(getattr(holder, names[-1]), passes, is_last_carried_out))
    sys.exit(main())
