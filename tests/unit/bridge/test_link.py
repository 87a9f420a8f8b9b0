"""Rank 0's end of the line, with a publisher at the other end that says what the test says."""

import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest
from support.runs import FakeRun
from support.threaded import FakeProcess

from lockstream.bridge import link
from lockstream.bridge import link_messages as words
from lockstream.bridge.control import Command
from lockstream.bridge.errors import DeliveryFailed, UserError
from lockstream.bridge.frames import Step
from lockstream.bridge.link import PublisherLink
from lockstream.bridge.messages import Steered
from lockstream.bridge.settings import StreamSettings
from lockstream.bridge.slots import Slots

RUN = FakeRun()
SLOTS = 3
BEGIN = words.Begin(
    started=RUN.started,
    settings=StreamSettings(policy="drop", rounding={"u": 10}, close_timeout=0.3),
    options={"bootstrap.servers": "a:1", "linger.ms": 3},
    slots=SLOTS,
    processors=(1, 3),
    control_topic="control",
)
COMMAND = Command(
    id="0123456789abcdef" * 2,
    run="fake",
    command="set",
    key="model.F",
    value=0.5,
    who="ada@node",
    sent="2026-01-01T00:00:00Z",
    expires="2026-01-01T01:00:00Z",
)
STEERED = Steered(
    run="fake", attempt=0, id="ab" * 16, command="stop", who="ada@node", sent="2026-01-01T00:00:00Z", step=3
)
WORDS: list[Any] = [
    BEGIN,
    words.Submit(slot=2, step=7, time=0.1, diagnostics={"mass": 1e-300, "lost": None}),
    words.Say(message=STEERED),
    words.Sync(timeout=0.5),
    words.Close(ended=RUN.ended([1, 2], "stopped"), timeout=1.0),
    words.Ready(),
    words.Refused(text="no", is_users=True),
    words.Freed(slot=1),
    words.StopWanted(reason="enough"),
    words.Failed(text="ValueError: ü"),
    words.Note(text="slow"),
    words.Commanded(command=COMMAND),
    words.Synced(is_safe=False, text="full"),
    words.Closed(lost=(-1, 3), spool="/a", items=2, nbytes=1 << 40, reason="late"),
]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: type(word).__name__)
def test_what_is_said_is_what_is_heard(word: Any) -> None:
    decoder: Any = words.to_publisher if isinstance(word, words.ToPublisher) else words.from_publisher
    assert decoder.decode(words.encode(word)) == word


class Publisher:
    """The other end of the line."""

    def __init__(self, line: socket.socket) -> None:
        self.line = Connection(line.detach())

    def say(self, *said: words.FromPublisher) -> None:
        for word in said:
            self.line.send_bytes(words.encode(word))

    def hear(self) -> words.ToPublisher:
        assert self.line.poll(10)
        return words.to_publisher.decode(self.line.recv_bytes())

    def leave(self) -> None:
        if not self.line.closed:
            self.line.close()


Make = Callable[..., tuple[PublisherLink, Publisher]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    links: list[PublisherLink] = []
    ends: list[Publisher] = []

    def make(*first: words.FromPublisher, leaves: bool = False) -> tuple[PublisherLink, Publisher]:
        ours, theirs = socket.socketpair()
        ends.append(Publisher(theirs))
        gone = threading.Thread()
        gone.start()
        process = FakeProcess(gone, socket.socket())
        monkeypatch.setattr(link, "_start", lambda _slots: (process, Connection(ours.detach())))
        ends[-1].say(*first)
        if leaves:
            ends[-1].leave()
        links.append(PublisherLink(Slots.create(RUN.fields, SLOTS), BEGIN))
        assert ends[-1].hear() == BEGIN
        return links[-1], ends[-1]

    yield make
    for end in ends:
        end.leave()
    for each in links:
        if not each._connection.closed:
            each.abandon()


def test_slots_go_round(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    slots = [rank_0.acquire(0.0) for _ in range(SLOTS)]
    assert sorted(filter(None, slots)) == [1, 2]
    assert rank_0.acquire(0.01) is None
    for step, slot in enumerate(slots):
        assert slot is not None
        rank_0.submit(slot, Step(step, step / 2, {"mass": 1.0}))
        assert publisher.hear() == words.Submit(
            slot=slot, step=step, time=step / 2, diagnostics={"mass": 1.0}
        )
    publisher.say(words.Freed(slot=1))
    assert rank_0.acquire(10.0) == 1
    assert rank_0.acquire(0.0) is None
    rank_0.give_back(1)
    assert rank_0.acquire(0.0) == 1
    assert rank_0.progress.accepted == 3


def test_a_slot_that_is_freed_while_it_is_waited_for(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    for _ in range(SLOTS):
        rank_0.acquire(0.0)
    late = threading.Timer(0.05, publisher.say, [words.Note(text="slow"), words.Freed(slot=0)])
    late.start()
    assert rank_0.acquire(10.0) == 0
    late.join()


def test_no_slot_is_given_once_a_stop_is_wanted(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    publisher.say(words.StopWanted(reason="the spool is full"))
    assert rank_0.acquire(10.0) is None
    assert rank_0.stop_reason == "the spool is full"


def test_a_step_that_will_not_do_is_not_said(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    with pytest.raises(ValueError, match="'u'"):
        rank_0.submit(0, Step(0, 0.0, {"u": 1.0}))
    rank_0.say(STEERED)
    assert publisher.hear() == words.Say(message=STEERED)
    assert rank_0.progress.accepted == 0


def test_commands_are_handed_over_once(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    publisher.say(words.Commanded(command=COMMAND), words.Freed(slot=0), words.Commanded(command=COMMAND))
    assert rank_0.commands() == [COMMAND, COMMAND]
    assert rank_0.commands() == []


def test_notes_are_shown(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    rank_0, publisher = make(words.Ready())
    publisher.say(words.Note(text="Kafka is away"))
    assert rank_0.commands() == []
    assert "run fake: Kafka is away" in caplog.text


def test_answers_are_waited_for_past_other_words(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    answer = words.Synced(is_safe=True)
    publisher.say(words.Freed(slot=0), words.Note(text="slow"), answer)
    assert rank_0.sync(0.0) == answer
    assert publisher.hear() == words.Sync(timeout=0.0)
    closed = words.Closed(lost=(3,))
    publisher.say(words.Note(text="waiting"), closed)
    assert rank_0.close(RUN.ended(), 0.0) == closed
    assert publisher.hear() == words.Close(ended=RUN.ended(), timeout=0.0)
    assert rank_0.progress.accepted == 0, "after the end too"


def test_its_last_word_is_heard_although_it_has_gone(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    publisher.say(words.Note(text="waiting"), words.Closed())
    line = publisher.line
    answer: list[words.Closed] = []
    closing = threading.Thread(target=lambda: answer.append(rank_0.close(RUN.ended(), 5.0)))
    closing.start()
    assert isinstance(publisher.hear(), words.Close)
    line.close()
    closing.join(10)
    assert answer == [words.Closed()]


@pytest.mark.parametrize(("is_users", "error"), [(True, UserError), (False, DeliveryFailed)])
def test_a_run_that_cannot_be_opened(make: Make, is_users: bool, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^nobody answers$"):
        make(words.Refused(text="nobody answers", is_users=is_users))


def test_a_publisher_that_ends_before_it_is_ready(make: Make) -> None:
    with pytest.raises(DeliveryFailed, match=r"process 12345, has ended \(exit code 0\); of 0 accepted"):
        make(leaves=True)


def test_a_publisher_that_does_not_answer(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "START_SECONDS", 0.0)
    with pytest.raises(DeliveryFailed, match="process 12345, does not answer"):
        make()
    rank_0, _ = make(words.Ready())
    monkeypatch.setattr(link, "END_SECONDS", 0.1)
    with pytest.raises(DeliveryFailed, match="does not answer"):
        rank_0.sync(0.0)


def test_a_publisher_that_is_gone_is_named_with_what_is_certain(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    for step in range(2):
        rank_0.submit(step, Step(step, 0.0, {}))
        publisher.hear()
    rank_0.slots.count(acknowledged=1)
    publisher.leave()
    said = r"run 'fake': the publisher, process 12345, has ended.*of 2 accepted steps 1 are acknowledged"
    for use in (
        lambda: rank_0.acquire(0.0),
        lambda: rank_0.submit(2, Step(2, 0.0, {})),
        lambda: rank_0.sync(1.0),
        rank_0.commands,
        lambda: rank_0.close(RUN.ended(), 1.0),
    ):
        with pytest.raises(DeliveryFailed, match=said):
            use()


def test_a_fault_of_the_publisher_is_raised(make: Make) -> None:
    rank_0, publisher = make(words.Ready())
    publisher.say(words.Failed(text="ZeroDivisionError: division by zero"))
    with pytest.raises(DeliveryFailed, match="cannot be published any further: ZeroDivisionError"):
        rank_0.acquire(0.0)
