"""Talking back to a running simulation: commands sent, and the run's answers read from its own topic."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from lockstream.bridge.client import KafkaOptions, client_config, with_options
from lockstream.bridge.control import (
    CONTROL_PARTITION,
    Command,
    SteeringSettings,
    Value,
    encode_command,
)
from lockstream.bridge.errors import ConfigurationError, DeliveryFailed, LockstreamError, WireError
from lockstream.bridge.messages import Message, RunEnded, Steered
from lockstream.bridge.wire import decode
from lockstream.kafka.log import (
    ANSWER_SECONDS,
    Cluster,
    LogUnavailable,
    Record,
    offsets_available,
    read_range,
    reader,
    record_of,
)

SEND_SECONDS = 10.0


class NotListening(LockstreamError):
    """The run cannot be steered now: it has ended, or nobody ever listened."""


def parse_setting(text: str) -> tuple[str, Value]:
    """Split ``KEY=VALUE``: ``F=0.03`` is short for ``model.F=0.03``, the value a number, true, false or text.

    Raises
    ------
    ConfigurationError
        If it is something else.
    """
    key, equals, written = (part.strip() for part in text.partition("="))
    if not (key and equals and written):
        raise ConfigurationError("set", text, "write KEY=VALUE, e.g. F=0.03")
    value: object = written
    with suppress(msgspec.DecodeError):  # then it is plain text
        value = msgspec.json.decode(written)
    if not isinstance(value, int | float | str):
        raise ConfigurationError("set", text, "the value must be a number, true, false or text")
    return key if "." in key else f"model.{key}", value


class Conversation:
    """Sends commands to one run and hears what became of them.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    run
        Which run.
    settings
        The ``[steering]`` table: which control topic.

    Raises
    ------
    NoSuchRun
        If there is no such run; names those that there are.
    BrokerUnreachable
        If nobody answers.
    """

    def __init__(self, options: KafkaOptions, run: str, settings: SteeringSettings) -> None:
        self._name = Cluster(options).topic(run).name
        self._run, self._options, self._control = run, options, settings.topic
        self._reader = reader(options, "lockstream-steer", enable_partition_eof=True)
        _, self._next = offsets_available(self._reader, self._name, 0)

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands; those of one call stay together and in order.

        Raises
        ------
        NotListening
            If the run has ended, or there is no control topic.
        DeliveryFailed
            If Kafka did not take them; it is then possible that it did, and they expire.
        """
        if (ended := self._last_message()) is not None and isinstance(ended, RunEnded):
            raise NotListening(f"run {self._run!r} has ended ({ended.status}, after step {ended.last_step})")
        self._check_control_topic()
        config = client_config(self._options, enable_idempotence=True, acks="all")
        producer: Producer = with_options(Producer, config)
        failed: list[str] = []
        for command in commands:
            headers, value = encode_command(command)
            producer.produce(
                self._control,
                value,
                command.run.encode(),
                partition=CONTROL_PARTITION,
                headers=headers,  # type: ignore[arg-type]
                on_delivery=lambda error, _: failed.append(error.str()) if error is not None else None,
            )
        if producer.flush(SEND_SECONDS):
            failed.append(f"no acknowledgement within {SEND_SECONDS:.0f} s")
        if failed:
            raise DeliveryFailed(f"topic {self._control!r} did not take the command: {failed[0]}")

    def answers(self, commands: Sequence[Command], seconds: float) -> Iterator[Steered]:
        """Yield the ``steered`` record of each command as it comes, until all are there or time is up.

        Raises
        ------
        LogUnavailable
            If the run's topic cannot be read any more.
        """
        limit = time.monotonic() + seconds
        open_ids = {command.id for command in commands}
        self._reader.assign([TopicPartition(self._name, 0, self._next)])
        while open_ids and (left := limit - time.monotonic()) > 0:
            message = self._reader.poll(left)
            if message is None or _is_the_end_so_far(message.error()):
                continue
            if (record := record_of(message)) is None:
                continue
            self._next = record.offset + 1
            if (steered := _steered(record)) is not None and steered.id in open_ids:
                open_ids.discard(steered.id)
                yield steered

    def history(self) -> Iterator[Steered]:
        """Yield all answers so far, oldest first; the run's topic is read through.

        Raises
        ------
        LogUnavailable
            If it cannot be read.
        """
        low, high = offsets_available(self._reader, self._name, 0)
        for record in read_range(self._reader, self._name, 0, low, high):
            if (steered := _steered(record)) is not None:
                yield steered

    def close(self) -> None:
        """Give the connection back."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _last_message(self) -> Message | None:
        for record in read_range(self._reader, self._name, 0, max(0, self._next - 1), self._next):
            try:
                return decode(record.headers, record.value)
            except WireError:
                break
        return None

    def _check_control_topic(self) -> None:
        try:
            topics = self._reader.list_topics(timeout=ANSWER_SECONDS).topics
        except KafkaException as error:
            raise LogUnavailable(f"Kafka does not answer any more: {error.args[0].str()}") from None
        if self._control not in topics:
            raise NotListening(
                f"there is no topic {self._control!r}: no run listens there; start one with steering.enabled = true, "
                "or name the topic with --set steering.topic=NAME"
            )


def _is_the_end_so_far(error: KafkaError | None) -> bool:
    return error is not None and error.code() == KafkaError._PARTITION_EOF


def _steered(record: Record) -> Steered | None:
    if ("ls-kind", b"steered") not in (record.headers or ()):
        return None  # not worth decoding: nearly all records are tiles
    try:
        message = decode(record.headers, record.value)
    except WireError:
        return None
    return message if isinstance(message, Steered) else None
