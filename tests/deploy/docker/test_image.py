"""The project's own image: what is in it, what is not, and who runs it."""

import json
import re
import tomllib

import pytest
from deploy.docker.engine import Engine
from deploy.docker.settings import PROJECT

HEAT = "lockstream simulate /examples/heat.toml --no-stream --set run.steps=20 --set domain.shape=[64,64]"


def inside(engine: Engine, image: str, *command: str) -> str:
    return engine.docker("run", "--rm", "--init", "--network", "none", image, *command)


def test_labels_say_what_it_is(engine: Engine, image: str) -> None:
    labels = json.loads(engine.docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    found = {key.removeprefix("org.opencontainers.image."): text for key, text in labels.items()}
    assert found["version"] == project["version"]
    assert found["licenses"] == project["license"]
    assert found["title"] == "Lockstream"
    assert found["revision"] == "0123abc"


def test_it_runs_as_an_ordinary_user_and_without_a_compiler(engine: Engine, image: str) -> None:
    tools = ["cc", "gcc", "g++", "clang", "make", "ld", "as"]
    looked = inside(
        engine, image, "sh", "-c", f"id -u; for t in {' '.join(tools)}; do command -v $t; done; true"
    )
    assert looked.split() == ["1000"]


def test_nobody_can_write_to_the_programs(engine: Engine, image: str) -> None:
    assert inside(engine, image, "find", "/opt/lockstream", "-writable", "-not", "-type", "l") == ""


def test_without_a_command_it_says_what_there_is(engine: Engine, image: str) -> None:
    assert "archive" in inside(engine, image)
    assert "archive" in inside(engine, image, "lockstream", "--help")


@pytest.mark.parametrize("user", ["1000", "4711:4711"])
def test_mpirun_and_the_compiled_kernels_work_for_any_user(engine: Engine, image: str, user: str) -> None:
    words = ["mpirun", "-n", "2", *HEAT.split()]
    said = engine.docker("run", "--rm", "--init", "--network", "none", "--user", user, image, *words)
    assert re.search(r"20 steps on (1 x 2|2 x 1) ranks", said), said


def test_the_health_check_names_the_broker_that_does_not_answer(engine: Engine, image: str) -> None:
    ask = "python /opt/lockstream/kafka_answers.py 2>&1; echo exit $?"
    environment = "LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1"
    said = engine.docker("run", "--rm", "--network", "none", "--env", environment, image, "sh", "-c", ask)
    assert "127.0.0.1:1" in said
    assert said.endswith("exit 1\n")
    configured = engine.docker("image", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", image)
    assert "/opt/lockstream/kafka_answers.py" in configured
