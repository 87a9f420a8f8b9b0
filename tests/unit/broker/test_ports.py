import socket
from collections.abc import Iterator

import pytest

from lockstream.kafka.broker import ports
from lockstream.kafka.broker.errors import PortTaken, UnusableHost


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_on_which_somebody_listens_is_not_free(taken: int) -> None:
    assert not ports.is_free(taken)


def test_a_port_that_may_not_be_bound_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse, raising=False)
    assert not ports.is_free(80)


def test_the_first_start_takes_the_clients_default_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port, host: True)
    assert ports.choose_port(None, None) == ports.DEFAULT_PORT


def test_the_first_start_takes_another_port_where_the_default_one_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port, host: port != ports.DEFAULT_PORT)
    assert ports.choose_port(None, None) in range(20_000, 30_000)


def test_zero_means_any_free_port_even_where_the_default_one_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port, host: True)
    assert ports.choose_port(0, None) != ports.DEFAULT_PORT


@pytest.mark.parametrize("wanted", [None, 0])
def test_the_recorded_port_is_kept(wanted: int | None) -> None:
    recorded = ports.free_port()
    assert ports.choose_port(wanted, recorded) == recorded


def test_zero_leaves_a_recorded_port_that_somebody_else_took(taken: int) -> None:
    assert ports.choose_port(0, taken) in range(20_000, 30_000)


def test_a_wish_comes_before_the_recorded_port() -> None:
    wanted = ports.free_port()
    assert ports.choose_port(wanted, ports.free_port(besides=wanted)) == wanted


def test_a_taken_port_is_an_error_that_names_it_and_the_cure(taken: int) -> None:
    for wanted, recorded in ((taken, None), (None, taken)):
        with pytest.raises(PortTaken, match=rf"port {taken} .*--port"):
            ports.choose_port(wanted, recorded)


def test_a_host_that_is_not_this_machine_s_is_an_error_with_the_cure() -> None:
    ports.check_host("localhost")
    for host in ("203.0.113.77", "no-such-host.invalid"):
        with pytest.raises(UnusableHost, match=rf"'{host}' .*--host"):
            ports.check_host(host)
