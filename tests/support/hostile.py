"""Hostile records without end, bent from a run's own messages.

A record that passes every check and says what nobody said is a forgery, and who may write into a topic is up to
Kafka's access control: forgeries are left out. Everything else may stand anywhere in the stream.
"""

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import h5py

from lockstream.bridge.errors import WireError
from lockstream.bridge.messages import Gap, RunStarted, Tile
from lockstream.bridge.wire import decode, verify_tile
from lockstream.kafka.archive.ledger import Outcome
from lockstream.kafka.archive.view import ledger_of, view_run
from support.runs import FakeRun, Log, Record, record

NUMBERS = (
    b"-1",
    b"0",
    b"1",
    b"7",
    b"1e3",
    b" 1",
    b"+1",
    b"0x10",
    b"NaN",
    b"9" * 18,
    b"9" * 19,
    b"9" * 5000,
    "٣".encode(),
)
TEXTS = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"u\x00",
    "\U0001f4a5".encode(),
    b"../../etc/passwd",
    b"A" * 201,
    b"A" * 100_000,
)
VALUES = (
    b"null",
    b"[]",
    b"{}",
    b"{" * 5000,
    b"[" * 100_000,
    b'{"kind":"manifest"}' * 2,
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b'{"kind":"run-started","fields":' + b"9" * 5000 + b"}",
    b" " * 1_200_000,
    b"\x00" * 3000,
    b"\xff" * 48,
    zlib.compress(bytes(3_000_000)),
    zlib.compress(bytes(60_000)),
)


class Hostile:
    """Makes hostile records.

    Parameters
    ----------
    run
        The attempt that is being published; at least attempt 1, so that an older one can be stale.
    random
        Decides everything.
    """

    def __init__(self, run: FakeRun, random: random.Random) -> None:
        self._run, self._random = run, random
        self._others = (
            replace(run, run="another"),
            replace(run, attempt=0),
            replace(run, attempt=run.attempt + 1),
        )
        self._bends: tuple[Callable[[Record, int], Record], ...] = (
            *(self._flip_value, self._cut_value, self._lengthen_value, self._foreign_value, self._garbage),
            *(self._drop_header, self._double_header, self._lie, self._flip_header, self._text),
            *(self._replay, self._of_another, self._claim_codec, self._bend_json),
        )
        self._known: dict[tuple[str, int, int], Log] = {}

    def records(self, step: int) -> Iterator[Record]:
        """Yield records that fit nowhere while `step` is being published, and all before it were."""
        while True:
            good = self._random.choice(self._messages(step))
            bent = self._random.choice(self._bends)(good, step)
            if self._random.random() < 0.2:
                bent = self._random.choice(self._bends)(bent, step)
            if not self._is_forged(bent, step):
                yield bent

    def _messages(self, step: int) -> Log:
        gap = Gap(run=self._run.run, attempt=self._run.attempt, step=step, reason="none")
        return [
            *self._step(self._run, step),
            record(self._run.started),
            record(gap),
            record(self._run.ended([step])),
        ]

    def _step(self, run: FakeRun, step: int) -> Log:
        key = (run.run, run.attempt, step)
        if key not in self._known:
            self._known[key] = run.step(step)
        return self._known[key]

    def _is_forged(self, bent: Record, step: int) -> bool:
        """Whether a record passes every check and was not sent before in this way."""
        try:
            message = decode(*bent)
            if isinstance(message, Tile):
                verify_tile(message)
        except WireError:
            return False
        if message.run != self._run.run or message.attempt < self._run.attempt:
            return False
        if isinstance(message, RunStarted) or message.attempt > self._run.attempt:
            return isinstance(message, RunStarted) and message.attempt > self._run.attempt
        if isinstance(message, Tile) and self._run.started.field(message.field) is None:
            return False
        number = getattr(message, "step", step)
        return number >= step or bent not in self._step(self._run, number)

    def _flip_value(self, good: Record, _step: int) -> Record:
        headers, value = good
        if not value:
            return headers, b"\x01"
        place = self._random.randrange(len(value))
        return headers, value[:place] + bytes([value[place] ^ (1 << self._random.randrange(8))]) + value[
            place + 1 :
        ]

    def _cut_value(self, good: Record, _step: int) -> Record:
        return good[0], (good[1] or b"")[: self._random.randrange(len(good[1] or b"x"))]

    def _lengthen_value(self, good: Record, _step: int) -> Record:
        return good[0], (good[1] or b"") + self._random.randbytes(self._random.randrange(1, 200))

    def _foreign_value(self, good: Record, _step: int) -> Record:
        return good[0], self._random.choice((*VALUES, None))  # type: ignore[return-value]

    def _garbage(self, good: Record, _step: int) -> Record:
        return self._random.choice(([], good[0])), self._random.randbytes(self._random.randrange(300))

    def _drop_header(self, good: Record, _step: int) -> Record:
        headers = list(good[0])
        if headers:
            del headers[self._random.randrange(len(headers))]
        return headers, good[1]

    def _double_header(self, good: Record, _step: int) -> Record:
        return [*good[0], self._random.choice(good[0] or [("ls-v", b"1.0")])], good[1]

    def _lie(self, good: Record, _step: int) -> Record:
        numbers = (*NUMBERS, b",".join(self._random.choices(NUMBERS, k=self._random.randrange(1, 7))))
        return self._changed(good, self._random.choice(numbers))

    def _text(self, good: Record, _step: int) -> Record:
        return self._changed(good, self._random.choice((*TEXTS, None)))  # type: ignore[arg-type]

    def _flip_header(self, good: Record, _step: int) -> Record:
        key, text = self._random.choice(good[0] or [("ls-v", b"1.0")])
        place = self._random.randrange(len(text or b"") or 1)
        flipped = bytes([(text or b"x")[place] ^ (1 << self._random.randrange(8))])
        return self._changed(good, (text or b"")[:place] + flipped + (text or b"")[place + 1 :], key)

    def _changed(self, good: Record, text: bytes, key: str = "") -> Record:
        chosen = key or self._random.choice(good[0] or [("ls-v", b"1.0")])[0]
        return [(k, text if k == chosen else t) for k, t in good[0]], good[1]

    def _replay(self, good: Record, step: int) -> Record:
        if not step:
            return self._garbage(good, step)
        return self._random.choice(self._step(self._run, self._random.randrange(max(0, step - 20), step)))

    def _of_another(self, _good: Record, step: int) -> Record:
        other = self._random.choice(self._others)
        return self._random.choice(
            [*self._step(other, step), record(other.started), record(other.ended([step]))]
        )

    def _claim_codec(self, good: Record, step: int) -> Record:
        bomb = zlib.compress(bytes(self._random.choice((47, 49, 10_000, 1_000_000))))
        return self._changed((good[0], bomb), b"deflate", "codec")

    def _bend_json(self, good: Record, _step: int) -> Record:
        headers, value = good
        numbers = (
            b"-1",
            b"1e400",
            b"9" * 400,
            b'"\\u0000"',
            b"null",
            b'"\\ud800"',
            b"[[[[]]]]",
            b"true",
            b"NaN",
        )
        parts = (value or b"").split(b",")
        place = self._random.randrange(len(parts))
        name, colon, _ = parts[place].partition(b":")
        parts[place] = name + colon + self._random.choice(numbers)
        return headers, b",".join(parts)


def besieged(run: FakeRun, steps: int, count: int, seed: int) -> tuple[Log, set[int]]:
    """A whole run's log in which `count` hostile records stand anywhere behind its first record, and their offsets."""
    chance = random.Random(seed)  # noqa: S311 - tests are to be repeated
    hostile, log = Hostile(run, chance), [record(run.started)]
    offsets: set[int] = set()
    for step in range(steps):
        good, bad = run.step(step), list(islice(hostile.records(step), count // steps))
        places = sorted(chance.randrange(len(good) + 1) for _ in bad)
        for place in range(len(good) + 1):
            for _ in range(places.count(place)):
                offsets.add(len(log))
                log.append(bad.pop())
            log += good[place : place + 1]
    return [*log, record(run.ended(range(steps)))], offsets


def assert_harmless(run_folder: Path, run: FakeRun, steps: int, hostile: set[int]) -> None:
    """Every step is archived bit for bit, and of the hostile records none."""
    with h5py.File(run_folder / "run.h5") as file:
        assert file["step"][()].tolist() == list(range(steps))
        for step in range(steps):
            for field in run.fields:
                assert file[field.name][step].tobytes() == run.array(field.name, step).tobytes()
    fates = {
        n: entry.outcome for entry in ledger_of(view_run(run_folder)) for n in range(entry.first, entry.stop)
    }
    assert {fates[offset] for offset in hostile} == {
        Outcome.QUARANTINED,
        Outcome.DUPLICATE,
        Outcome.SUPERSEDED,
    }
    used = {fate for offset, fate in fates.items() if offset not in hostile}
    assert used == {Outcome.ARCHIVED, Outcome.CONTROL}
