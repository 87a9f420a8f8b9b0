import socket
from collections.abc import Iterator

import pytest

from lockstream.kafka.broker import ports
from lockstream.kafka.broker.errors import PortTaken
from lockstream.kafka.broker.properties import Detour, server_properties


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
    monkeypatch.setattr(ports, "is_free", lambda port: True)
    assert ports.choose_port(None, None) == ports.DEFAULT_PORT


def test_the_first_start_takes_another_port_where_the_default_one_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: port != ports.DEFAULT_PORT)
    assert ports.choose_port(None, None) in range(20_000, 30_000)


def test_zero_means_any_free_port_even_where_the_default_one_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: True)
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


def parsed(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_broker_listens_on_the_loopback_interface_only() -> None:
    settings = parsed(server_properties(1234, 5678))
    expected = "BROKER://127.0.0.1:1234,CONTROLLER://127.0.0.1:5678"
    assert settings["listeners"] == settings["advertised.listeners"] == expected
    assert settings["controller.quorum.bootstrap.servers"] == "127.0.0.1:5678"


def test_a_detour_is_advertised_where_its_relay_listens() -> None:
    settings = parsed(server_properties(1234, 5678, Detour(relay=11, port=22)))
    common = "BROKER://127.0.0.1:1234,CONTROLLER://127.0.0.1:5678,DETOUR://127.0.0.1:"
    assert settings["listeners"] == common + "22"
    assert settings["advertised.listeners"] == common + "11"
    assert "DETOUR:PLAINTEXT" in settings["listener.security.protocol.map"]


def test_the_broker_keeps_all_data_makes_no_topic_by_itself_and_takes_a_whole_tile() -> None:
    settings = parsed(server_properties(1, 2))
    assert settings["log.retention.ms"] == "-1"
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["message.max.bytes"] == str(2 * 2**20)
    assert settings["log.dirs"] == "data"  # relative: the folder can be moved


def test_every_group_of_settings_gives_its_reason() -> None:
    groups = server_properties(1, 2).strip().split("\n\n")[1:]
    assert groups
    assert [group for group in groups if not group.startswith("#")] == ["log.dirs=data"]
