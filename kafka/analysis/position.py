"""Where a worker stands in a partition, kept in the metadata of the group's committed offset.

Whoever takes over in the middle of the log has to know the attempt it stands in: the position says at which
offset its ``run-started`` lies.
"""

from typing import Self

import msgspec
from confluent_kafka import TopicPartition

from lockstream.kafka.events import Until

MAX_METADATA = 4096  # Kafka's own limit


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far a partition of a run is analysed.

    Parameters
    ----------
    offset
        The first offset that is not, at the boundary of a step.
    since
        Kafka's timestamp of the first record that was read, ms; no result of the run is older.
    started
        Offset of the current attempt's ``run-started``, -1 if there was none.
    last_step
        The last step of that attempt, -1 if there was none.
    ended
        Whether that attempt said ``run-ended``.
    completed
        Whether it said so because all its steps were done, so that there will be no other attempt.
    """

    offset: int
    since: int = 0
    started: int = -1
    last_step: int = -1
    ended: bool = False
    completed: bool = False

    def is_over(self, until: Until) -> bool:
        """Whether the run is over: in whatever way, or only if it is completed."""
        return self.completed if until == "completed" else self.ended

    def committed(self, topic: str, partition: int) -> TopicPartition:
        """Put it as Kafka stores it."""
        return TopicPartition(topic, partition, self.offset, metadata=msgspec.json.encode(self).decode())

    @classmethod
    def read(cls, committed: TopicPartition) -> Self | None:
        """Read what Kafka stores; None if nothing is, or nothing that this module wrote for that offset."""
        text = getattr(committed, "metadata", None) or ""
        if committed.error is not None or committed.offset < 0 or len(text) > MAX_METADATA:
            return None
        try:
            position = msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError:
            return None
        is_sound = position.offset == committed.offset and -1 <= position.started < position.offset
        return position if is_sound else None
