"""The loose side: an embedded broker, step assembly, the archive and live analysis."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstream.kafka.archive.readers import open_run

__all__ = ["open_run"]


def __getattr__(name: str) -> object:
    if name != "open_run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lockstream.kafka.archive.readers import open_run

    return open_run
