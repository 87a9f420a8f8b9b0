import pytest
from confluent_kafka import TopicPartition

from lockstream.kafka.analysis.position import Position

POSITION = Position(offset=12, since=1_700_000_000_000, started=4, last_step=70, ended=True)


def test_a_position_comes_back_from_the_committed_offset():
    committed = POSITION.committed("t", 3)
    assert (committed.topic, committed.partition, committed.offset) == ("t", 3, 12)
    assert Position.read(committed) == POSITION


@pytest.mark.parametrize(
    ("offset", "metadata"),
    [
        (-1001, ""),  # nothing was ever committed
        (12, ""),
        (12, "somebody else's"),
        (12, "{}"),
        (12, "[" * 4096),
        (12, '{"offset": 12, "started": "four"}'),
        (12, '{"offset": 12, "started": 12}'),  # begins after what it leads to
        (12, '{"offset": 12, "started": -2}'),
        (11, POSITION.committed("t", 0).metadata),  # the offset was reset with another program
        (12, '{"offset": 12}' + " " * 5000),
    ],
)
def test_what_was_not_committed_by_a_worker_is_no_position(offset, metadata):
    assert Position.read(TopicPartition("t", 0, offset, metadata=metadata)) is None


def test_an_offset_without_metadata_is_no_position():
    assert Position.read(TopicPartition("t", 0, 12)) is None
