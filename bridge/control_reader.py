"""The control topic: made when a run that can be steered begins, and read without ever waiting."""

import logging
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_END, Consumer, KafkaError, Message, TopicPartition

from lockstream.bridge.client import (
    KafkaOptions,
    admin_client,
    client_config,
    first_contact,
    servers_of,
    with_options,
)
from lockstream.bridge.control import CONTROL_PARTITION, MAX_COMMAND_BYTES, Command, decode_command
from lockstream.bridge.errors import WireError
from lockstream.bridge.topics import TopicExists, create_topic

RETENTION_DAYS = 7
AT_ONCE = 100  # records looked at in one call of `poll`, so that a flood cannot hold up the publisher
REMEMBERED = (
    10_000  # ids: more than a client that sends again after a lost acknowledgement can have in flight
)

_QUICK = {"fetch.wait.max.ms": 100}  # so much later an empty topic shows its end; the user's options win

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # junk from others is no news on the terminal of a simulation


def prepare_control_topic(options: KafkaOptions, topic: str, replication: int = -1) -> None:
    """Make the control topic unless it is there.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    topic
        Its name.
    replication
        Replication factor if it has to be made; -1 leaves it to the broker.

    Raises
    ------
    BrokerUnreachable
        If nobody answers.
    TopicRefused
        If the cluster does not let us; the text says which topic to ask for.
    """
    admin = admin_client(options)
    if topic in first_contact(admin, servers_of(options)).topics:
        return  # who may not make topics can still use one
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": str(RETENTION_DAYS * 86_400_000),
        "max.message.bytes": str(4 * MAX_COMMAND_BYTES),
    }
    with suppress(TopicExists):
        create_topic(admin, topic, partitions=1, replication=replication, settings=settings)


class ControlReader:
    """Reads the commands to one run that are sent from now on.

    It begins at the end of the topic: what was sent before, to this attempt's predecessors or to nobody, is
    never carried out, however often a run is restarted. A broker that is away is waited for in the
    background; the reader then goes on where it was.

    Parameters
    ----------
    options
        The ``[kafka]`` table.
    topic
        The control topic.
    run
        Whose commands; others are passed over.

    Raises
    ------
    ConfigurationError
        If librdkafka refuses an option.
    """

    def __init__(self, options: KafkaOptions, topic: str, run: str) -> None:
        config = client_config(
            options,
            group_id="lockstream-control",  # needed by the client; nothing is committed
            enable_auto_commit=False,
            enable_auto_offset_store=False,
            auto_offset_reset="latest",  # a topic made again: still only what is sent from now on
            enable_partition_eof=True,
            queued_max_messages_kbytes=1024,
        )
        self._consumer: Consumer = with_options(Consumer, {**_QUICK, **config})
        self._run = run
        self._seen: set[str] = set()
        self._order: deque[str] = deque()
        self._waiting: list[Command] = []
        self.is_placed = False
        """Whether the end of the topic has been found: from then on no command is missed."""
        self._consumer.assign([TopicPartition(topic, CONTROL_PARTITION, OFFSET_END)])

    def place(self, timeout: float) -> bool:
        """Wait until the end of the topic has been found; called before others can know of the run.

        Parameters
        ----------
        timeout
            Seconds.

        Returns
        -------
        bool
            Whether it was; if not, the broker is away, and it goes on trying by itself.
        """
        limit = time.monotonic() + timeout
        while not self.is_placed and (left := limit - time.monotonic()) > 0:
            if (message := self._consumer.poll(left)) is not None:
                self._take(message)
        return self.is_placed

    def poll(self) -> list[Command]:
        """Return the commands that have arrived since the last call, without waiting."""
        for _ in range(AT_ONCE):
            if (message := self._consumer.poll(0)) is None:
                break
            self._take(message)
        arrived, self._waiting = self._waiting, []
        return arrived

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, message: Message) -> None:
        """Look at what the client delivered; whatever is not a new command to this run changes nothing."""
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                self.is_placed = True
            else:  # librdkafka tries again by itself
                _log.info("control topic: %s", error.str())
            return
        try:
            command = decode_command(message.value())
        except WireError as junk:
            _log.info("control topic, offset %s: %s", message.offset(), junk)
            return
        if command.run == self._run and command.id not in self._seen:
            self._remember(command.id)
            self._waiting.append(command)

    def _remember(self, id_: str) -> None:
        self._seen.add(id_)
        self._order.append(id_)
        if len(self._order) > REMEMBERED:
            self._seen.discard(self._order.popleft())
