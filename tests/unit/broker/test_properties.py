"""What is written into server.properties, for a node alone and for one of a cluster."""

import pytest

from lockstream.kafka.broker.membership import Address, Membership
from lockstream.kafka.broker.properties import Detour, server_properties

ALONE = Membership(addresses=[Address(host="127.0.0.1", port=1234, controller_port=5678)])
SECOND = Membership(
    number=2,
    addresses=[Address(host=f"10.0.0.{n}", port=1000 + n, controller_port=2000 + n) for n in (1, 2, 3)],
)
BOTH = pytest.mark.parametrize("membership", [ALONE, SECOND], ids=["alone", "in a cluster"])


def parsed(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_broker_listens_on_the_loopback_interface_only() -> None:
    settings = parsed(server_properties(ALONE))
    expected = "BROKER://127.0.0.1:1234,CONTROLLER://127.0.0.1:5678"
    assert settings["listeners"] == settings["advertised.listeners"] == expected
    assert settings["controller.quorum.bootstrap.servers"] == "127.0.0.1:5678"


def test_a_detour_is_advertised_where_its_relay_listens() -> None:
    settings = parsed(server_properties(ALONE, Detour(relay=11, port=22)))
    common = "BROKER://127.0.0.1:1234,CONTROLLER://127.0.0.1:5678,DETOUR://127.0.0.1:"
    assert settings["listeners"] == common + "22"
    assert settings["advertised.listeners"] == common + "11"
    assert "DETOUR:PLAINTEXT" in settings["listener.security.protocol.map"]


@BOTH
def test_the_broker_keeps_all_data_makes_no_topic_by_itself_and_takes_a_whole_tile(
    membership: Membership,
) -> None:
    settings = parsed(server_properties(membership))
    assert settings["log.retention.ms"] == "-1"
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["message.max.bytes"] == str(2 * 2**20)
    assert settings["log.dirs"] == "data"  # relative: the folder can be moved


@BOTH
def test_every_group_of_settings_gives_its_reason(membership: Membership) -> None:
    groups = server_properties(membership).strip().split("\n\n")[1:]
    assert groups
    assert [group for group in groups if not group.startswith("#")] == ["log.dirs=data"]


def test_a_node_of_a_cluster_listens_where_the_others_seek_it_and_knows_all_voters() -> None:
    settings = parsed(server_properties(SECOND))
    expected = "BROKER://10.0.0.2:1002,CONTROLLER://10.0.0.2:2002"
    assert settings["listeners"] == settings["advertised.listeners"] == expected
    assert settings["node.id"] == "2"
    assert settings["controller.quorum.voters"] == "1@10.0.0.1:2001,2@10.0.0.2:2002,3@10.0.0.3:2003"
    assert "controller.quorum.bootstrap.servers" not in settings
    assert SECOND.bootstrap_servers == "10.0.0.1:1001,10.0.0.2:1002,10.0.0.3:1003"


@pytest.mark.parametrize(("membership", "copies", "in_sync"), [(ALONE, "1", "1"), (SECOND, "3", "2")])
def test_everything_has_three_copies_in_a_cluster_and_two_when_it_is_acknowledged(
    membership: Membership, copies: str, in_sync: str
) -> None:
    settings = parsed(server_properties(membership))
    factors = {value for key, value in settings.items() if key.endswith("replication.factor")}
    least = {value for key, value in settings.items() if key.endswith((".min.isr", "min.insync.replicas"))}
    assert (factors, least) == ({copies}, {in_sync})
    assert settings["default.replication.factor"] == copies
    assert settings["min.insync.replicas"] == in_sync
