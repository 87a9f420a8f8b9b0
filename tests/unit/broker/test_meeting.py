"""The nodes of a cluster find each other in a folder, and nothing damaged or foreign is believed."""

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lockstream.bridge.errors import ConfigurationError
from lockstream.kafka.broker import launch
from lockstream.kafka.broker.errors import BrokerFailed, NodesMissing, PortTaken, UnusableFolder
from lockstream.kafka.broker.launch import take_seat
from lockstream.kafka.broker.meeting import Seat
from lockstream.kafka.broker.membership import Address, Membership
from lockstream.kafka.broker.ports import LOOPBACK
from lockstream.kafka.broker.state import StateFolder


def address(number: int) -> Address:
    return Address(host=f"10.0.0.{number}", port=1000 + number, controller_port=2000 + number)


def seats(folder: Path) -> list[Seat]:
    return [Seat(folder=folder / "meeting", number=number, size=3) for number in (1, 2, 3)]


def test_all_learn_all_addresses_and_agree_on_the_id_that_the_first_proposes(tmp_path: Path) -> None:
    def come(seat: Seat) -> tuple[list[Address], int, str]:
        seat.take(address(seat.number), f"id-{seat.number}", is_formatted=False)
        membership, cluster_id, is_newcomer = seat.meet(limit=20)
        assert not is_newcomer
        return list(membership.addresses), membership.number, cluster_id

    with ThreadPoolExecutor() as pool:
        met = list(pool.map(come, seats(tmp_path)))
    everywhere = [address(1), address(2), address(3)]
    assert met == [(everywhere, number, "id-1") for number in (1, 2, 3)]


def test_a_node_without_data_joins_the_cluster_of_those_that_have_some(tmp_path: Path) -> None:
    for seat in seats(tmp_path):
        seat.take(address(seat.number), "new" if seat.number == 1 else "old", is_formatted=seat.number > 1)
    met = [seat.meet(limit=0) for seat in seats(tmp_path)]
    assert {each.cluster_id for each in met} == {"old"}
    assert [each.is_newcomer for each in met] == [True, False, False]


def test_nodes_of_different_clusters_are_refused(tmp_path: Path) -> None:
    for seat in seats(tmp_path):
        seat.take(address(seat.number), f"id-{seat.number}", is_formatted=True)
    with pytest.raises(UnusableFolder, match=r"different clusters \(id-1, id-2, id-3\)"):
        seats(tmp_path)[0].meet(limit=0)


def test_who_did_not_come_is_named(tmp_path: Path) -> None:
    first, *_ = seats(tmp_path)
    first.take(address(1), "id", is_formatted=False)
    with pytest.raises(NodesMissing, match="nodes 2 and 3 did not come"):
        first.meet(limit=0)


def test_nodes_of_another_size_of_cluster_are_not_waited_with(tmp_path: Path) -> None:
    for seat in seats(tmp_path):
        replace(seat, size=5).take(address(seat.number), "id", is_formatted=False)
    with pytest.raises(NodesMissing):
        seats(tmp_path)[0].meet(limit=0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cluster_id": "a"}', '{"address": {"host": 1}}'])
def test_a_damaged_file_is_named_with_the_cure(tmp_path: Path, text: str) -> None:
    first, *_ = seats(tmp_path)
    first.take(address(1), "id", is_formatted=False)
    (path,) = first.folder.iterdir()
    path.write_text(text)
    with pytest.raises(UnusableFolder, match=f"delete {path}"):
        first.meet(limit=0)


@pytest.mark.parametrize(("number", "size"), [(0, 3), (4, 3), (1, 1), (1, 2), (1, 4)])
def test_a_seat_that_cannot_be(number: int, size: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Seat(folder=tmp_path, number=number, size=size)


def test_a_node_that_comes_back_takes_the_ports_that_it_had_or_none(tmp_path: Path) -> None:
    first, *_ = seats(tmp_path)
    folder = StateFolder(tmp_path / "node-1")
    take_seat(folder, first, LOOPBACK)
    before = first.address()
    assert before is not None
    take_seat(folder, first, LOOPBACK)
    assert first.address() == before
    with (
        socket.create_server((LOOPBACK, before.controller_port)),
        pytest.raises(PortTaken, match=str(before.controller_port)),
    ):
        take_seat(folder, first, LOOPBACK)


def test_a_node_without_data_does_not_start_while_the_others_do_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = seats(tmp_path)
    for seat in others:
        seat.take(address(seat.number), "old", is_formatted=True)
    asked = []

    def nobody_serves(membership: Membership, cluster_id: str, timeout: float) -> bool:
        asked.append((membership.bootstrap_servers.split(",")[1:], cluster_id))
        return False

    monkeypatch.setattr(launch, "wait_for_majority", nobody_serves)
    monkeypatch.setattr(launch, "spawn", lambda *_: pytest.fail("it was started"))
    manner = launch.Manner(spawn=lambda *_, **__: pytest.fail("it was started"))
    with pytest.raises(BrokerFailed, match="the nodes that have the cluster's data did not serve it"):
        launch.launch_node(StateFolder(tmp_path / "node-1"), manner, first)
    assert asked == [(["10.0.0.2:1002", "10.0.0.3:1003"], "old")]
