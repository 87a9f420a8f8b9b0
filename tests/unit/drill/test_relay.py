"""The relay passes on what it gets, unless it is told to be a bad network."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from lockstream.cli.relay import CHUNK, Relay

LIMIT = 20  # seconds until a test gives up


@contextmanager
def echo() -> Iterator[int]:
    """A server that sends back what it gets."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except OSError:
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(LIMIT)


@pytest.fixture
def relay() -> Iterator[Relay]:
    with echo() as port, Relay(port) as relay:
        yield relay


def connect(relay: Relay) -> socket.socket:
    return socket.create_connection(("127.0.0.1", relay.port), timeout=LIMIT)


def received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


@pytest.mark.parametrize("trouble", ["none", "slow", "late"])
def test_everything_arrives_in_order(relay: Relay, trouble: str) -> None:
    if trouble == "slow":
        relay.bytes_per_second = 4e6
    if trouble == "late":
        relay.delay = 0.05
    sent = bytes(range(251)) * (8 * CHUNK // 251)
    with connect(relay) as connection:
        sending = threading.Thread(target=connection.sendall, args=(sent,))
        sending.start()
        assert received(connection, len(sent)) == sent
        sending.join(LIMIT)


def test_a_black_hole_swallows_and_keeps_the_connection(relay: Relay) -> None:
    with connect(relay) as connection:
        relay.is_hole = True
        connection.sendall(b"in the dark")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        relay.heal()
        connection.settimeout(LIMIT)
        assert received(connection, 11) == b"in the dark"


def test_a_reset_is_one_and_new_connections_work(relay: Relay) -> None:
    with connect(relay) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        relay.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connect(relay) as connection:
        connection.sendall(b"again")
        assert received(connection, 5) == b"again"


def test_a_closed_connection_is_closed_on_the_other_side(relay: Relay) -> None:
    with connect(relay) as connection:
        connection.sendall(b"last")
        connection.shutdown(socket.SHUT_WR)
        assert received(connection, 4) == b"last"
        assert connection.recv(1) == b""


def test_nobody_behind_it_is_like_nobody_there() -> None:
    with echo() as port:
        pass
    with Relay(port) as relay, connect(relay) as connection, suppress(ConnectionError):
        assert connection.recv(1) == b""
