"""A partition without a leader is waited for, up to a limit."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from lockstream.contrast import leaders
from lockstream.contrast.leaders import NoLeader, await_leader


class NewTopic:
    """Answers like a cluster whose partition gets its leader after some questions."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def get_watermark_offsets(self, _partition: object, timeout: float) -> tuple[int, int]:
        self.left -= 1
        if self.left >= 0:
            raise KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
        return 0, 0


def test_it_is_asked_until_it_answers() -> None:
    cluster: Any = NewTopic(3)
    await_leader(cluster, "new")
    assert cluster.left == -1


def test_one_that_never_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaders, "PATIENCE_SECONDS", 0.0)
    cluster: Any = NewTopic(10**9)
    with pytest.raises(NoLeader, match=r"new\[2\]: .*[Nn]ot leader"):
        await_leader(cluster, "new", 2)
