"""`lockstream steer` and a run that answers, through a real Kafka."""

import pytest
from support.kafka_logs import options, stored
from support.runs import FakeRun
from support.steered import SteeredRun
from support.waiting import wait_until

from lockstream.kafka.broker import BrokerInfo
from lockstream.kafka.log import offsets_available, reader

from .conftest import Command


@pytest.fixture(autouse=True)
def reachable(broker: BrokerInfo, monkeypatch: pytest.MonkeyPatch, topic_name: str) -> None:
    monkeypatch.setenv("LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
    monkeypatch.setenv("LOCKSTREAM_STEERING_TOPIC", topic_name)


def test_a_command_takes_effect_and_the_user_learns_when(
    broker: BrokerInfo, run_id: str, topic_name: str, lockstream: Command
) -> None:
    with SteeredRun(broker, run_id, topic_name):
        said = lockstream("steer", run_id, "set", "F=0.035", "model.k=0.06", "--wait", "60")
        assert said.code == 0, said.err
        lines = said.out.splitlines()
        assert lines[0].startswith("took effect at step ")
        assert lines[0].endswith(": model.F 0.03 -> 0.035")
        assert lines[1].endswith(": model.k 0.057 -> 0.06")
        for words, effect in (
            (["every", "10"], ": stream.every 1 -> 10"),
            (["pause"], ": pause"),
            (["checkpoint"], ": checkpoint"),
            (["resume"], ": resume"),
            (["stop"], ": stop"),
        ):
            said = lockstream("steer", run_id, *words, "--wait", "60")
            assert (said.code, said.out.strip()[-len(effect) :]) == (0, effect), said
        said = lockstream("steer", run_id, "history")
        assert said.code == 0
        assert [line.rpartition(": ")[2].split()[0] for line in said.out.splitlines()] == [
            "model.F",
            "model.k",
            "stream.every",
            "pause",
            "checkpoint",
            "resume",
            "stop",
        ]


def test_a_refusal_is_told_with_its_reason(
    broker: BrokerInfo, run_id: str, topic_name: str, lockstream: Command
) -> None:
    with SteeredRun(broker, run_id, topic_name):
        said = lockstream("steer", run_id, "set", "F=-1", "k=0.06", "--wait", "60")
        assert said.code == 1
        assert "set was refused at step" in said.err
        assert "model.F = -1: Expected `float` >= 0" in said.err
        assert "model.k 0.057 -> 0.06" in said.out
        said = lockstream("steer", run_id, "pause", "--attempt", "3", "--wait", "60")
        assert said.code == 1
        assert "it is for attempt 3, this is attempt 0" in said.err


def test_only_who_has_the_secret_may_steer(
    broker: BrokerInfo, run_id: str, topic_name: str, lockstream: Command
) -> None:
    with SteeredRun(broker, run_id, topic_name, steering={"secret": "hush"}):
        said = lockstream("steer", run_id, "pause", "--wait", "60")
        assert said.code == 1
        assert "not signed with the run's steering.secret" in said.err
        said = lockstream("steer", run_id, "pause", "--wait", "60", "--set", "steering.secret=hush")
        assert said.code == 0


def test_a_command_that_nobody_took_up_is_not_carried_out_later(
    broker: BrokerInfo, run_id: str, topic_name: str, lockstream: Command
) -> None:
    run = SteeredRun(broker, run_id, topic_name)  # its topic is there, but it is not going on
    said = lockstream("steer", run_id, "stop", "--wait", "0.1")
    assert said.code == 1
    assert "nobody took it up within 0.1 s: is steering enabled, is the run going on?" in said.err
    assert lockstream("steer", run_id, "stop", "--wait", "0").code == 0
    with run:
        at = run.step
        wait_until(lambda: run.step > at + 20)
        assert lockstream("steer", run_id, "pause", "--wait", "60").code == 0, "it was not stopped"
    said = lockstream("steer", run_id, "history")
    assert len(said.out.splitlines()) == 1


def test_a_run_that_is_not_there_is_refused_with_those_that_are(
    broker: BrokerInfo, run_id: str, lockstream: Command
) -> None:
    stored(broker, run_id, FakeRun(run=run_id).logs(range(2)))
    said = lockstream("steer", "no-such-run", "pause")
    assert said.code == 2
    assert "'no-such-run'" in said.err
    assert run_id in said.err


def test_a_run_that_has_ended_is_not_steered(
    broker: BrokerInfo, run_id: str, topic_name: str, lockstream: Command
) -> None:
    run = SteeredRun(broker, run_id, topic_name)
    run.end()
    said = lockstream("steer", run_id, "pause")
    assert said.code == 1
    assert "has ended (completed, after step 0)" in said.err
    with_reader = reader(options(broker))
    assert offsets_available(with_reader, topic_name, 0) == (0, 0), "nothing was sent"
    with_reader.close()
    assert lockstream("steer", run_id, "history").out == "nobody has steered this run\n"


def test_without_a_control_topic_nobody_listens(
    broker: BrokerInfo, run_id: str, topic_name: str, lockstream: Command
) -> None:
    stored(broker, run_id, FakeRun(run=run_id).logs(range(2), status=None))
    said = lockstream("steer", run_id, "pause")
    assert said.code == 1
    assert f"there is no topic '{topic_name}': no run listens there" in said.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["set"], "set needs KEY=VALUE"),
        (["set", "F"], "write KEY=VALUE"),
        (["set", "F="], "write KEY=VALUE"),
        (["set", "F=[1]"], "must be a number, true, false or text"),
        (["set", "F=null"], "must be a number, true, false or text"),
        (["set", "F=99999999999999999999"], "model.F = 99999999999999999999"),
        (["every"], "every needs one whole number"),
        (["every", "0"], "every needs one whole number"),
        (["every", "often"], "every needs one whole number"),
        (["pause", "now"], "pause takes no values"),
        (["restart"], "'restart' is not one of"),
    ],
)
def test_a_command_that_makes_no_sense_is_not_sent(
    broker: BrokerInfo, run_id: str, lockstream: Command, words: list[str], told: str
) -> None:
    stored(broker, run_id, FakeRun(run=run_id).logs(range(1), status=None))
    said = lockstream("steer", run_id, *words)
    assert said.code == 2
    assert told in said.err
