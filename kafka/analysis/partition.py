"""One partition of a run: records in, results out, and at any time the position another worker would need."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from lockstream.bridge.messages import RunStarted
from lockstream.kafka.analysis.analyser import Analyser
from lockstream.kafka.analysis.messages import SpectrumResult
from lockstream.kafka.analysis.position import Position
from lockstream.kafka.assembler import Headers, StepAssembler
from lockstream.kafka.events import Ended, Event, Repeated, Started, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(Event):
    """Records that Kafka deleted before they were analysed: `offsets` are the first and the last of them."""


class PartitionAnalysis:
    """Analyses one partition of one run.

    Parameters
    ----------
    run
        The run that the topic belongs to.
    make_analyser
        Called with an attempt before its first step; None leaves its steps out.
    position
        Where to go on; None for the beginning of the log.
    started
        The attempt that `position` stands in; None if there is none, or it has ended.
    """

    def __init__(
        self,
        run: str,
        make_analyser: Callable[[RunStarted], Analyser | None],
        position: Position | None = None,
        started: RunStarted | None = None,
    ) -> None:
        self.run, self.position = run, position
        self._committed = position
        self._make_analyser = make_analyser
        self._analyser: tuple[RunStarted, Analyser | None] | None = None
        self._assembler = StepAssembler(run, started, position.last_step if position else -1)
        self._next = position.offset if position else None

    @property
    def uncommitted(self) -> Position | None:
        """The position, if it is another than the committed one."""
        return None if self.position == self._committed else self.position

    @property
    def field(self) -> str | None:
        """Name of the field that is analysed; None while there is none."""
        analyser = self._current_analyser()
        return analyser.field.name if analyser else None

    def mark_committed(self, position: Position) -> None:
        """Remember that Kafka has stored `position`."""
        self._committed = position

    def take(
        self, offset: int, timestamp: int, headers: Headers, value: bytes | None
    ) -> Iterator[Event | SpectrumResult]:
        """Take one record and yield what it settles: of a step its result, anything else as an event.

        Parameters
        ----------
        offset, headers, value
            As Kafka delivers them.
        timestamp
            Kafka's, in ms.
        """
        if self._next is not None and offset < self._next:
            # Kafka never goes back by itself: the topic was deleted and made anew.
            self._assembler, self.position, self._next = StepAssembler(self.run), None, None
        if self._next is not None and offset > self._next:
            yield Lost(offsets=(self._next, offset - 1))
        position = self.position or Position(offset=offset, since=max(timestamp, 0))
        for event in self._assembler.feed(offset, headers, value):
            if isinstance(event, Started):
                position = msgspec.structs.replace(position, started=offset, ended=False, completed=False)
            elif isinstance(event, Ended):
                completed = event.message.status == "completed"
                position = msgspec.structs.replace(position, ended=True, completed=completed)
            yield from self._settle(event)
        self._next = offset + 1
        self.position = msgspec.structs.replace(
            position,
            offset=self._assembler.resume_offset(self._next),
            last_step=self._assembler.last_step,
        )

    def _settle(self, event: Event) -> Iterator[Event | SpectrumResult]:
        if not isinstance(event, Step):
            yield event
        elif not isinstance(event, Repeated) and (analyser := self._current_analyser()):
            yield analyser.analyse(event)

    def _current_analyser(self) -> Analyser | None:
        started = self._assembler.started
        if started is None:
            return None
        if self._analyser is None or self._analyser[0] is not started:
            self._analyser = started, self._make_analyser(started)
        return self._analyser[1]
