"""A run that can be steered, without MPI: it answers commands as a simulation would, through a real Kafka."""

import threading
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Producer

from lockstream.bridge.control_reader import ControlReader, prepare_control_topic
from lockstream.bridge.messages import Message, run_topic
from lockstream.bridge.settings import convert
from lockstream.kafka.broker import BrokerInfo
from lockstream.mpi_jobs.config import Configuration
from lockstream.mpi_jobs.steering import Steering
from support.kafka_logs import make_topic, options
from support.runs import FakeRun, record

LIMIT = 60.0


class SteeredRun:
    """A thread that takes steps and looks for commands in between.

    Parameters
    ----------
    broker, run
        Where, and as which run.
    topic
        The control topic.
    tables
        More of the configuration.
    """

    def __init__(self, broker: BrokerInfo, run: str, topic: str, **tables: Any) -> None:
        given = {
            "run": {"id": run, "model": "gray-scott", "steps": 10},
            "domain": {"shape": [16, 16], "spacing": [0.01, 0.01]},
            "steering": {"enabled": True, "topic": topic},
            "model": {"F": 0.03},
        }
        for key, table in tables.items():
            given[key] = given.get(key, {}) | table
        self._steering = Steering(convert(given, Configuration))
        self._fake, self._options, self._topic = FakeRun(run=run), options(broker), topic
        prepare_control_topic(self._options, topic)
        make_topic(broker, run)
        self._producer = Producer(self._options | {"linger.ms": 1})
        self._send(self._fake.started)
        self._leaving = threading.Event()
        self._ready = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._live)
        self.step = 0

    def end(self) -> None:
        self._send(self._fake.ended((0,)))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(LIMIT), self._failed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        if self._failed and error is None:
            raise self._failed[0]

    def _live(self) -> None:
        try:
            with ControlReader(self._options, self._topic, self._fake.run) as reader:
                assert reader.place(LIMIT)
                self._ready.set()
                while not self._leaving.wait(0.01):
                    self.step += 1
                    orders, records = self._steering.decide(reader.poll(), self.step)
                    if orders is not None:
                        self._steering.apply(orders)
                    for each in records:
                        self._send(each)
        except BaseException as error:  # raised in the test
            self._failed.append(error)

    def _send(self, message: Message) -> None:
        headers, value = record(message)
        self._producer.produce(run_topic(self._fake.run), value, partition=0, headers=headers)
        assert self._producer.flush(LIMIT) == 0
