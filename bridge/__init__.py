"""Where the two messaging styles meet: the messages, their wire format and the rank-0 publisher."""

from lockstream.bridge.gather import Block
from lockstream.bridge.messages import Axis, Field
from lockstream.bridge.settings import StreamSettings
from lockstream.bridge.stream import Stream, StreamSummary, open_stream

__all__ = ["Axis", "Block", "Field", "Stream", "StreamSettings", "StreamSummary", "open_stream"]
