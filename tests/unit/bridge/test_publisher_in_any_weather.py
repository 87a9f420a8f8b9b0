"""Whatever Kafka and the disk do, in any order: who reads the logs finds every accepted step once, or its name."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import KafkaError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.producer import FakeProducer, Sent
from support.rig import FIELDS, STEP_BYTES, Rig
from support.runs import FakeRun

from lockstream.bridge.errors import SpoolUnwritable
from lockstream.bridge.link_messages import Closed, Failed, Freed, StopWanted, Synced
from lockstream.bridge.spool import Spool
from lockstream.kafka.assembler import StepAssembler
from lockstream.kafka.events import Dropped, Ended, Event, Fault, Step, TornAgain

ERRORS = {
    "lose track": KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True),
    "refuse": KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED),
}
Action = tuple[str, int]

actions = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 4)),
    st.tuples(st.just("acknowledge"), st.integers(1, 12)),
    st.tuples(
        st.sampled_from(
            ["answer", "be silent", "lose track", "sync", "refuse to write", "write again", "open"]
        ),
        st.just(0),
    ),
    st.tuples(st.just("settle"), st.just(0)),
)


class World:
    """A publisher with its Kafka and its disk, each of which can be told to fail."""

    def __init__(self, folder: Path, run: FakeRun, unheard: list[int], **settings: Any) -> None:
        self._answers = True
        self._fakes = [FakeProducer(unheard=count) for count in unheard] + [FakeProducer() for _ in range(40)]
        self.rig = Rig(folder, run, self._fakes, max_stall=0.02, **settings)
        self.accepted: list[int] = []
        self.asked: list[int] = []  # how many were accepted before each sync
        self._is_writable = True
        for name in ("append", "insert"):
            setattr(self.rig.spool, name, self._guarded(getattr(self.rig.spool, name)))

    def do(self, action: str, count: int) -> None:  # noqa: C901
        rig = self.rig
        match action:
            case "publish":
                for _ in range(count):
                    self._publish()
            case "acknowledge" if not self._answers:
                rig.fake.deliver(count)
            case "answer" | "be silent":
                self._answers = action == "answer"
                for fake in self._fakes:
                    fake.answer(self._answers)
            case "lose track" | "refuse":
                rig.fake.fail(ERRORS[action])
            case "sync":
                self.asked.append(len(self.accepted))
                rig.publisher.sync(0.0)
            case "refuse to write" | "write again":
                self._is_writable = action == "write again"
            case "open":
                rig.publisher.open_log()
            case "settle":
                rig.hear_until(lambda: len(rig.heard(Freed)) == len(self.accepted) or rig.heard(StopWanted))

    def close(self, timeout: float) -> Closed:
        self.rig.publisher.close(self.rig.run.ended(self.accepted), timeout)
        self.rig.hear_until(lambda: self.rig.heard(Closed) or self.rig.heard(Failed))
        assert not self.rig.heard(Failed), self.rig.told
        closed: Closed = self.rig.hear(Closed)
        return closed

    def events(self) -> list[Event]:
        """What those understand who read Kafka's logs, with what the spool still has behind them."""
        rig = self.rig
        rig.end()
        with Spool(rig.spool.folder, 1 << 24) as spool:
            kept = [Sent("", record.partition, *record[2:], print) for record in spool.read()]
        stored = [sent for fake in rig.made for sent in fake.delivered]
        events: list[Event] = []
        for partition in range(rig.run.partitions):
            assembler = StepAssembler(rig.run.run)
            log = [sent for sent in stored + kept if sent.partition == partition]
            for offset, sent in enumerate(log):
                events.extend(assembler.feed(offset, sent.headers, sent.value))
        return events

    def _publish(self) -> None:
        """As rank 0 does: a slot within the time that it has, and none after a stop is wanted."""
        rig = self.rig
        rig.hear_until(lambda: rig.has_slot or rig.heard(StopWanted))
        if not rig.heard(StopWanted):
            self.accepted.append(len(self.accepted))
            rig.publish(self.accepted[-1])

    def _guarded(self, write: Callable[..., None]) -> Callable[..., None]:
        def guarded(*item: Any) -> None:
            if not self._is_writable:
                raise SpoolUnwritable("the disk is gone")
            write(*item)

        return guarded


# Not shrunk: the threads make no example fail twice in the same way.
@settings(
    deadline=None,
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    actions=st.lists(actions, max_size=25),
    policy=st.sampled_from(["spill", "drop", "stop"]),
    steps_in_buffer=st.integers(1, 3),
    partitions=st.integers(1, 2),
    is_open=st.booleans(),
    unheard=st.lists(st.integers(0, 12), max_size=4),
    last=st.sampled_from(["answer", "be silent", "refuse"]),
)
def test_every_accepted_step_is_found_once_or_named(
    actions: list[Action],
    policy: str,
    steps_in_buffer: int,
    partitions: int,
    is_open: bool,
    unheard: list[int],
    last: str,
) -> None:
    run = FakeRun(fields=FIELDS, tile_bytes=4096, partitions=partitions)
    buffer = steps_in_buffer * STEP_BYTES + 4096
    with TemporaryDirectory() as folder:
        world = World(Path(folder), run, unheard, policy=policy, buffer_bytes=buffer, is_open=is_open)
        try:
            for action in actions:
                world.do(*action)
            world.do(last, 0)
            closed = world.close(10 if last == "answer" and is_open else 0.05)
            events = world.events()
        finally:
            world.rig.end()
    whole = [event.manifest.step for event in events if type(event) is Step]
    gaps = [event.message.step for event in events if isinstance(event, Dropped)]
    found = sorted(whole + gaps)
    assert found == sorted(set(found)), "once"
    missing = set(world.accepted) - set(found)
    lost = set(closed.lost)
    assert missing <= lost or -1 in lost, (missing, closed)
    for is_safe, accepted in zip((s.is_safe for s in world.rig.heard(Synced)), world.asked, strict=False):
        assert not is_safe or min(lost - {-1}, default=accepted) >= accepted, "what was called safe is"
    if not lost:
        faults = [event for event in events if isinstance(event, Fault)]
        assert all(isinstance(fault, TornAgain) and fault.step in found for fault in faults), faults
        assert sum(isinstance(event, Ended) for event in events) == partitions
