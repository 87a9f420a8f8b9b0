"""The ``[archive]`` table."""

from typing import Literal

import msgspec

from lockstream.bridge.errors import ConfigurationError


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the archiver works.

    Parameters
    ----------
    folder
        The archive.
    segment_bytes
        A segment is sealed after this many raw bytes,
    segment_seconds
        or this many seconds after it was begun, so that a slow run can be watched.
    until
        When a run that was named is done: when it has ``ended`` in any way, or only when it is ``completed``; a
        run that was stopped or failed is then waited for until its next attempt has.
    on_end
        What becomes of a completed run: ``merge`` makes one plain file of its segments, ``links`` keeps them.
    """

    folder: str = "archive"
    segment_bytes: int = 256 << 20
    segment_seconds: float = 30.0
    until: Literal["ended", "completed"] = "ended"
    on_end: Literal["merge", "links"] = "merge"

    def __post_init__(self) -> None:
        for key in ("segment_bytes", "segment_seconds"):
            if not (value := getattr(self, key)) > 0:
                raise ConfigurationError(f"archive.{key}", value, "must be positive")
