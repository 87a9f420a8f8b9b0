import os
import signal
import socket
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from lockstream.kafka.broker import BrokerInfo, StopOutcome, embedded_broker, start, status, stop
from lockstream.kafka.broker.errors import BrokerAlreadyRunning, BrokerFailed, PortTaken
from lockstream.kafka.broker.process import identify

LIMIT = 20.0
WORDS = [f"word {number}".encode() for number in range(20)]


def make_topic(broker: BrokerInfo, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])[topic].result(LIMIT)


def produce(broker: BrokerInfo, topic: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True})
    for word in WORDS:
        producer.produce(topic, word)
    assert producer.flush(LIMIT) == 0


def consume(broker: BrokerInfo, topic: str) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "test"})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(len(WORDS), LIMIT)
        return [message.value() or b"" for message in messages]
    finally:
        consumer.close()


def test_data_and_port_outlive_the_broker(tmp_path: Path, topic_name: str) -> None:
    first = start(tmp_path, port=0)
    try:
        make_topic(first, topic_name)
        produce(first, topic_name)
        assert consume(first, topic_name) == WORDS
        assert stop(tmp_path) is StopOutcome.STOPPED
        second = start(tmp_path)
        assert (second.port, second.cluster_id) == (first.port, first.cluster_id)
        assert second.pid != first.pid
        assert consume(second, topic_name) == WORDS
    finally:
        stop(tmp_path)
    assert not identify_or_none(second.pid)
    assert status(tmp_path).info is None
    assert stop(tmp_path) is StopOutcome.NOT_RUNNING


def identify_or_none(pid: int) -> bool:
    try:
        return identify(pid).alive()
    except ProcessLookupError:
        return False


def test_a_second_start_is_refused_and_harms_nothing(broker: BrokerInfo) -> None:
    with pytest.raises(BrokerAlreadyRunning, match=f"pid {broker.pid}"):
        start(broker.directory)
    state = status(broker.directory)
    assert state.info == broker
    assert state.data_bytes > 0
    assert broker.log.exists()


def test_a_killed_broker_is_stale_and_starts_again_with_its_data(tmp_path: Path, topic_name: str) -> None:
    with embedded_broker(tmp_path) as first:
        make_topic(first, topic_name)
        produce(first, topic_name)
        jvm = identify(first.pid)
        jvm.signal(signal.SIGKILL)
        assert jvm.wait_gone(LIMIT)
        assert status(tmp_path).info is None
        with embedded_broker(tmp_path) as second:
            assert second.port == first.port
            assert consume(second, topic_name) == WORDS


def test_a_recorded_port_that_somebody_else_took_is_an_error_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "broker.json").write_text('{"port": 0}')
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "broker.json").write_text(f'{{"port": {port}}}')
        with pytest.raises(PortTaken, match=rf"port {port} .*--port"):
            start(tmp_path)
    assert status(tmp_path).info is None


def test_a_broker_that_cannot_start_tells_why_and_where_its_log_is(tmp_path: Path) -> None:
    with embedded_broker(tmp_path):
        pass
    meta = tmp_path / "data" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(BrokerFailed, match="ended while it was starting") as caught:
        start(tmp_path)
    assert "node id 7" in str(caught.value)
    assert str(tmp_path / "logs" / "server.log") in str(caught.value)
    assert status(tmp_path).info is None


def test_the_broker_is_reached_through_the_loopback_interface_only(broker: BrokerInfo) -> None:
    # /proc/PID/net/tcp lists the sockets of the whole network namespace: keep those of the broker.
    own = {os.readlink(entry) for entry in Path(f"/proc/{broker.pid}/fd").iterdir() if entry.is_symlink()}
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{broker.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                listening.add(fields[1].rpartition(":")[0])
    loopback = {
        "0100007F",
        "0000000000000000FFFF00000100007F",
    }  # 127.0.0.1, also as the JVM's IPv6 sockets show it
    assert listening
    assert listening <= loopback


def test_the_first_idempotent_producer_meets_a_broker_that_is_ready(tmp_path: Path) -> None:
    told: list[str] = []

    class Listener:
        def log(self, level: int, message: str, *values: object) -> None:
            told.append(message % values)

    with embedded_broker(tmp_path) as fresh:
        make_topic(fresh, "ready")
        producer = Producer(
            {"bootstrap.servers": fresh.bootstrap_servers, "enable.idempotence": True}, logger=Listener()
        )
        producer.produce("ready", b"at once")
        assert producer.flush(LIMIT) == 0
        assert not [line for line in told if "idempotence PID" in line]
