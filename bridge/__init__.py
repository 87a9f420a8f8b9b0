"""Where the two messaging styles meet: the messages, their wire format and the rank-0 publisher.

What is public here is loaded at its first use, so that ``lockstream --help`` loads no Kafka client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lockstream.bridge.gather import Block
    from lockstream.bridge.messages import Axis, Field
    from lockstream.bridge.settings import StreamSettings
    from lockstream.bridge.stream import Stream, StreamSummary, open_stream

__all__ = ["Axis", "Block", "Field", "Stream", "StreamSettings", "StreamSummary", "open_stream"]

_HOMES = {
    "Axis": "messages",
    "Block": "gather",
    "Field": "messages",
    "Stream": "stream",
    "StreamSettings": "settings",
    "StreamSummary": "stream",
    "open_stream": "stream",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
