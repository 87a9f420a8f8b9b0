"""The errors of the profilers.

::

    LockstreamError
    ├── RecordUnreadable    exit 1: a rank's file is not what the tool writes
    └── UserError
        ├── NoPython        exit 2: there is no Python program in the command
        ├── NoRecord        exit 2: the run was too short for the tool, or a rank was killed
        └── ToolUnusable    exit 2: the machine does not have the tool, or forbids it
"""

from lockstream.bridge.errors import LockstreamError, UserError


class RecordUnreadable(LockstreamError, ValueError):
    """A rank's record cannot be read."""

    def __init__(self, path: object, why: object) -> None:
        super().__init__(f"{path}: not a whole record of the profiler ({why}); profile the run once more")


class NoPython(UserError, ValueError):
    """The command starts no Python program that could be profiled."""


class NoRecord(UserError, FileNotFoundError):
    """A rank left no record."""


class ToolUnusable(UserError, RuntimeError):
    """A profiler is not installed, or is not allowed to look."""
