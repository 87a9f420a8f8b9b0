"""The control topic as a simulation's publisher reads it, on a real broker."""

import os
import signal
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from support.kafka_logs import options
from support.waiting import wait_until

from lockstream.bridge.control import Command, encode_command, make_command
from lockstream.bridge.control_reader import AT_ONCE, ControlReader, prepare_control_topic
from lockstream.kafka import broker as embedded
from lockstream.kafka.broker import BrokerInfo, embedded_broker

LIMIT = 60.0


def send(broker: BrokerInfo, topic: str, *values: Command | bytes | None) -> None:
    producer = Producer(options(broker) | {"linger.ms": 1})
    for value in values:
        sent = encode_command(value)[1] if isinstance(value, Command) else value
        producer.produce(topic, sent, partition=0)
    assert producer.flush(LIMIT) == 0


def prepare(broker: BrokerInfo, topic: str) -> None:
    prepare_control_topic(options(broker), topic, 1)


def placed(broker: BrokerInfo, topic: str, run: str) -> ControlReader:
    reader = ControlReader(options(broker), topic, run)
    assert reader.place(LIMIT)
    return reader


def take(reader: ControlReader, count: int) -> list[Command]:
    """Poll until so many commands have come."""
    taken: list[Command] = []

    def enough() -> bool:
        taken.extend(reader.poll())
        return len(taken) >= count

    wait_until(enough, LIMIT)
    return taken


def test_commands_arrive_in_order_and_only_those_to_this_run(
    broker: BrokerInfo, topic_name: str, run_id: str
) -> None:
    prepare(broker, topic_name)
    mine = [make_command(run_id, "pause"), make_command(run_id, "every", value=3)]
    with placed(broker, topic_name, run_id) as reader:
        send(broker, topic_name, mine[0], make_command("other", "stop"), mine[1])
        assert take(reader, 2) == mine
        assert reader.poll() == []


def test_what_was_sent_before_is_never_carried_out(broker: BrokerInfo, topic_name: str, run_id: str) -> None:
    prepare(broker, topic_name)
    send(broker, topic_name, make_command(run_id, "stop"))
    with placed(broker, topic_name, run_id) as first:
        send(broker, topic_name, seen := make_command(run_id, "pause"))
        assert take(first, 1) == [seen]
    with placed(broker, topic_name, run_id) as second:  # the run is started again
        send(broker, topic_name, new := make_command(run_id, "resume"))
        assert take(second, 1) == [new]


def test_a_command_that_stands_there_twice_is_taken_once(
    broker: BrokerInfo, topic_name: str, run_id: str
) -> None:
    prepare(broker, topic_name)
    twice, last = make_command(run_id, "pause"), make_command(run_id, "resume")
    with placed(broker, topic_name, run_id) as reader:
        send(broker, topic_name, twice, twice, last, twice)
        assert take(reader, 2) == [twice, last]


def test_junk_is_passed_over(broker: BrokerInfo, topic_name: str, run_id: str) -> None:
    prepare(broker, topic_name)
    good = make_command(run_id, "pause")
    bent = encode_command(good)[1].replace(b'"pause"', b'"reboot"')
    with placed(broker, topic_name, run_id) as reader:
        send(broker, topic_name, None, b"", b"\xff", b"{}", b"x" * 60_000, bent, good)
        assert take(reader, 1) == [good]


def test_a_flood_is_taken_in_portions(broker: BrokerInfo, topic_name: str, run_id: str) -> None:
    prepare(broker, topic_name)
    flood = [make_command(run_id, "checkpoint") for _ in range(2 * AT_ONCE + 1)]
    with placed(broker, topic_name, run_id) as reader:
        send(broker, topic_name, *flood)
        portions: list[list[Command]] = []

        def all_there() -> bool:
            portions.append(reader.poll())
            return sum(map(len, portions)) == len(flood)

        wait_until(all_there, LIMIT)
    assert max(map(len, portions)) <= AT_ONCE
    assert [command for portion in portions for command in portion] == flood


def test_the_topic_is_made_once_and_keeps_commands_for_a_week(broker: BrokerInfo, topic_name: str) -> None:
    admin = AdminClient(options(broker))
    for _ in range(2):
        prepare_control_topic(options(broker), topic_name)
    resource = ConfigResource(ResourceType.TOPIC, topic_name)
    wait_until(lambda: topic_name in admin.list_topics(timeout=10).topics)
    found = admin.describe_configs([resource])[resource].result(LIMIT)
    assert found["retention.ms"].value == str(7 * 24 * 3600 * 1000)
    assert found["cleanup.policy"].value == "delete"
    assert len(admin.list_topics(timeout=10).topics[topic_name].partitions) == 1


def test_without_a_broker_nothing_comes_and_nothing_waits() -> None:
    with ControlReader({"bootstrap.servers": "127.0.0.1:1"}, "control", "r") as reader:
        assert not reader.place(0.2)
        assert reader.poll() == []


def test_a_broker_that_goes_away_and_comes_back(tmp_path: Path, topic_name: str, run_id: str) -> None:
    with embedded_broker(tmp_path) as broker:
        prepare(broker, topic_name)
        reader = placed(broker, topic_name, run_id)
        send(broker, topic_name, before := make_command(run_id, "pause"))
        assert take(reader, 1) == [before]
        os.kill(broker.pid, signal.SIGKILL)
        wait_until(lambda: embedded.status(broker.directory).info is None)
        assert reader.poll() == []
        again = embedded.start(broker.directory)
        try:
            assert again.bootstrap_servers == broker.bootstrap_servers
            send(again, topic_name, after := make_command(run_id, "resume"))
            assert take(reader, 1) == [after]
            reader.close()
        finally:
            embedded.stop(broker.directory)
