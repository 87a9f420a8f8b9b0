"""The Compose files as they are read: valid for every profile, pinned, and true to what else says the same."""

import json
import re

import pytest
from deploy.docker.engine import Engine
from deploy.docker.settings import CLUSTER, COMPOSE, PROJECT, SINGLE, settings
from deploy.docker.stack import Stack

from lockstream.kafka.broker.artifacts import pinned
from lockstream.kafka.broker.membership import Address, Membership
from lockstream.kafka.broker.properties import server_properties

PROFILES = {
    "none": {"kafka"},
    "consumers": {"kafka", "archiver", "analysis"},
    "simulation": {"kafka", "simulation"},
    "ui": {"kafka", "ui"},
    "jupyter": {"kafka", "jupyter"},
    "gpu": {"kafka", "simulation-gpu"},
}


def configured(
    engine: Engine, files: tuple[object, ...], *options: str
) -> dict[str, dict[str, dict[str, object]]]:
    words = [word for file in files for word in ("--file", str(file))]
    found: dict[str, dict[str, dict[str, object]]] = json.loads(
        engine.docker("compose", *words, *options, "config", "--format", "json")
    )
    return found


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("files", [SINGLE, CLUSTER], ids=["single", "cluster"])
def test_every_profile_is_valid(engine: Engine, files: tuple[object, ...], profile: str) -> None:
    services = set(configured(engine, files, "--profile", profile)["services"])
    nodes = {"kafka-2", "kafka-3"} if files is CLUSTER else set()
    assert services == PROFILES[profile] | nodes


@pytest.mark.parametrize("files", [SINGLE, CLUSTER], ids=["single", "cluster"])
def test_images_are_pinned_and_ports_are_on_loopback(engine: Engine, files: tuple[object, ...]) -> None:
    for name, service in configured(engine, files, "--profile", "*")["services"].items():
        tag = str(service["image"]).rpartition(":")[2]
        assert re.search(r"\d", tag), f"{name} is not pinned: {service['image']}"
        ports = service.get("ports", [])
        assert isinstance(ports, list)
        assert {port["host_ip"] for port in ports} <= {"127.0.0.1"}, name
        assert service["mem_limit"], name


def test_the_broker_is_the_one_that_is_embedded(engine: Engine) -> None:
    """The same version, and the same settings wherever both say something, except for addresses and folders."""
    kafka = configured(engine, SINGLE)["services"]["kafka"]
    assert kafka["image"] == f"apache/kafka:{pinned().version}"
    environment = kafka["environment"]
    assert isinstance(environment, dict)
    alone = Membership(addresses=[Address(host="127.0.0.1", port=9092, controller_port=9093)])
    lines = server_properties(alone).splitlines()
    embedded = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    names = {f"KAFKA_{key.upper().replace('.', '_')}": text for key, text in embedded.items()}
    ours = {key: text for key, text in environment.items() if key in names}
    differ = {key for key, text in ours.items() if text != names[key]}
    assert differ <= {
        "KAFKA_LISTENERS",
        "KAFKA_ADVERTISED_LISTENERS",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
        "KAFKA_INTER_BROKER_LISTENER_NAME",
        "KAFKA_LOG_DIRS",
    }
    assert ours["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert ours["KAFKA_LOG_RETENTION_MS"] == "-1"


def test_all_that_can_be_set_stands_in_env_and_is_used() -> None:
    text = "".join(file.read_text() for file in CLUSTER)
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(settings())
    version = re.search(r'^version = "(.*)"', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert settings()["LOCKSTREAM_IMAGE"] == f"lockstream:{version[1]}"
    assert COMPOSE.joinpath(settings()["CONFIG_FOLDER"], "gray_scott.toml").exists()


def test_the_shell_goes_before_env(engine: Engine) -> None:
    said = Stack(engine, SINGLE, {"KAFKA_PORT": "29092"}).compose("config")
    assert "HOST://127.0.0.1:29092" in said
