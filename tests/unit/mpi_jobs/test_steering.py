"""Which commands take effect and which are refused, and why; without MPI and without Kafka."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from lockstream.bridge.control import Command, make_command
from lockstream.bridge.messages import Steered
from lockstream.bridge.settings import convert
from lockstream.mpi_jobs.config import Configuration, build_model
from lockstream.mpi_jobs.steering import Steering


def configuration(
    model: str = "gray-scott", steering: dict[str, Any] | None = None, **parameters: Any
) -> Configuration:
    tables = {
        "run": {"id": "r", "model": model, "steps": 10},
        "domain": {"shape": [16, 24], "spacing": [0.01, 0.01]},
        "stream": {"every": 5},
        "model": parameters,
        "steering": {"enabled": True} | (steering or {}),
    }
    return convert(tables, Configuration)


def command(name: Any, value: Any = None, key: str = "", **more: Any) -> Command:
    lifetime = 86_400  # some are made when the tests are collected, minutes before they are looked at
    return make_command("r", name, key=key, value=value, **({"lifetime": lifetime} | more))


def set_(key: str, value: Any) -> Command:
    return command("set", value, f"model.{key}")


def carry_out(steering: Steering, *commands: Command, step: int = 7) -> list[Steered]:
    """Decide and apply, as all ranks do with the orders that rank 0 sends."""
    orders, records = steering.decide(commands, step)
    if orders is not None:
        steering.apply(msgspec.json.decode(msgspec.json.encode(orders), type=type(orders)))
    return records


def refusal(steering: Steering, *commands: Command) -> str:
    """Why the last command is refused; nothing may change by it."""
    orders, records = steering.decide(commands, 7)
    assert records[-1].refused
    assert (orders is None) == all(record.refused for record in records)
    return records[-1].refused


def test_a_parameter_changes_and_the_record_says_how() -> None:
    steering = Steering(configuration(F=0.03), attempt=2)
    dt, before = steering.model.dt, steering.model
    asked = set_("F", 0.035)
    (record,) = carry_out(steering, asked)
    assert record == Steered(
        run="r",
        attempt=2,
        id=asked.id,
        command="set",
        who=asked.who,
        sent=asked.sent,
        step=7,
        key="model.F",
        old=0.03,
        new=0.035,
    )
    assert steering.model is not before
    assert steering.model.dt == dt
    assert steering.configuration.model["F"] == 0.035
    assert steering.configuration.model["dt"] == dt
    assert steering.configuration.run == configuration().run


def test_a_preset_is_what_the_old_value_was() -> None:
    (record,) = carry_out(Steering(configuration(pattern="mu")), set_("k", 0.06))
    assert (record.old, record.new) == (0.065, 0.06)


def test_a_whole_number_does_for_a_parameter_that_is_none() -> None:
    (record,) = carry_out(Steering(configuration()), set_("F", 0))
    assert (record.refused, record.new) == ("", 0)


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [("gray-scott", "F", 0.04), ("gray-scott", "Du", 1e-5), ("heat", "diffusivity", 0.5)],
)
def test_the_new_model_computes_what_one_started_with_that_parameter_does(
    model: str, key: str, value: float
) -> None:
    steering = Steering(configuration(model))
    dt = steering.model.dt
    carry_out(steering, set_(key, value))
    fresh = build_model(configuration(model, dt=dt, **{key: value}))
    restarted = build_model(steering.configuration)
    random = np.random.default_rng(3)
    old = [random.random((18, 26), np.float32) for _ in steering.model.fields]
    results = []
    for each in (steering.model, fresh, restarted):
        new = [np.zeros_like(array) for array in old]
        each.step(old, new, (16, 24))
        results.append(b"".join(array.tobytes() for array in new))
    assert results[0] == results[1] == results[2]


def test_parameters_in_effect_make_the_same_model() -> None:
    given = configuration(pattern="mu", F=0.05)
    steering = Steering(given)
    carry_out(steering, set_("k", 0.065))  # as mu has it already
    first, second = build_model(given), steering.model
    old = [np.random.default_rng(1).random((18, 26), np.float32) for _ in range(2)]
    one, two = ([np.zeros_like(array) for array in old] for _ in range(2))
    first.step(old, one, (16, 24))
    second.step(old, two, (16, 24))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (set_("f", 1.0), r"model\.f = 1\.0: cannot be steered; known are Du, Dv, F, k"),
        (set_("Dw", 1.0), r"model\.Dw = 1\.0: cannot be steered; did you mean 'D[uv]'\?"),
        (set_("dt", 0.1), r"model\.dt = 0\.1: cannot be steered"),
        (set_("seeds", 3), r"model\.seeds = 3: cannot be steered"),
        (command("set", 3, "run.steps"), r"run\.steps = 3: cannot be steered"),
        (command("set", 3, "F"), r"F = 3: cannot be steered"),
        (set_("F", "much"), r"model\.F = 'much': Expected `float"),
        (set_("F", True), r"model\.F = True: Expected `float"),
        (set_("F", -0.1), r"model\.F = -0\.1: Expected `float` >= 0"),
        (set_("F", None), r"model\.F = None: must have a finite value"),
        (set_("Du", 0), r"model\.Du = 0: Expected `float` > 0"),
        (set_("Du", 1.0), r"model\.Du = 1\.0: the run's time step, .*, would be unstable; the largest .* be"),
        (set_("Du", 1e308), r"model\.Du = 1e\+308: "),
        (command("every", 0), r"stream\.every = 0: must be a whole number, at least 1"),
        (command("every", -1), r"stream\.every = -1"),
        (command("every", 1.5), r"stream\.every = 1\.5"),
        (command("every", True), r"stream\.every = True"),
        (command("every"), r"stream\.every = None"),
        (command("resume"), "the run is not paused"),
        (command("pause", attempt=1), "it is for attempt 1, this is attempt 0"),
        (make_command("other", "pause", lifetime=86_400), "it is for run 'other'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(asked: Command, reason: str) -> None:
    assert re.search(reason, refusal(Steering(configuration()), asked))


def test_a_model_without_parameters_to_steer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    steering = Steering(configuration("heat"))
    monkeypatch.delattr(type(steering.model), "steerable")
    assert "no parameter that can be steered" in refusal(steering, set_("diffusivity", 2.0))


def test_a_model_that_changes_its_time_step_is_not_let(monkeypatch: pytest.MonkeyPatch) -> None:
    steering = Steering(configuration("heat"))
    monkeypatch.setattr(type(steering.model), "steerable", frozenset({"dt"}))
    assert "would change the time step" in refusal(steering, set_("dt", steering.model.dt / 2))


def test_only_who_is_allowed_may_steer() -> None:
    off = Steering(configuration(steering={"enabled": False}))
    assert "steering.enabled = true" in refusal(off, command("pause"))
    signed = Steering(configuration(steering={"secret": "hush"}))
    assert "not signed" in refusal(signed, command("pause"))
    assert "not signed" in refusal(signed, command("pause", secret="guess"))  # noqa: S106
    assert carry_out(signed, command("pause", secret="hush"))[0].refused == ""  # noqa: S106


def test_a_command_that_comes_too_late_is_not_carried_out() -> None:
    steering, asked = Steering(configuration()), command("stop", lifetime=10)
    orders, (record,) = steering.decide([asked], 7, datetime.now(UTC) + timedelta(seconds=11))
    assert orders is None
    assert "expired" in record.refused


def test_commands_take_effect_in_their_order() -> None:
    steering = Steering(configuration(F=0.03))
    records = carry_out(
        steering,
        command("pause"),
        set_("F", 0.04),
        set_("F", 0.05),
        command("every", 2),
        command("checkpoint"),
    )
    assert [(record.old, record.new) for record in records[1:4]] == [(0.03, 0.04), (0.04, 0.05), (5, 2)]
    assert records[3].key == "stream.every"
    assert steering.is_paused
    assert steering.every == 2
    assert steering.configuration.model["F"] == 0.05


def test_a_pause_ends_by_resume_and_only_once() -> None:
    steering = Steering(configuration())
    carry_out(steering, command("pause"))
    assert steering.is_paused
    assert refusal(steering, command("pause")) == "the run is paused already"
    carry_out(steering, set_("F", 0.05), command("checkpoint"))
    assert steering.is_paused
    carry_out(steering, command("resume"))
    assert not steering.is_paused
    assert refusal(steering, command("resume")) == "the run is not paused"
    records = carry_out(steering, command("pause"), command("resume"))
    assert [record.refused for record in records] == ["", ""]
    assert not steering.is_paused


def test_a_checkpoint_is_written_once() -> None:
    steering = Steering(configuration())
    first, _ = steering.decide([command("checkpoint")], 7)
    assert first is not None
    assert first.checkpoint
    steering.apply(first)
    second, _ = steering.decide([command("every", 3)], 8)
    assert second is not None
    assert not second.checkpoint


def test_after_stop_nothing_else_is_taken() -> None:
    steering, asked = Steering(configuration()), command("stop")
    records = carry_out(steering, asked, command("stop"), set_("F", 0.05))
    assert [record.refused for record in records] == ["", "the run is stopping", "the run is stopping"]
    assert steering.stop == f"stopped by {asked.who}"
    assert "F" not in steering.configuration.model
    assert refusal(steering, command("resume")) == "the run is stopping"


def test_a_paused_run_can_be_stopped() -> None:
    steering = Steering(configuration())
    carry_out(steering, command("pause"))
    carry_out(steering, command("stop"))
    assert steering.stop


def test_deciding_alone_changes_nothing() -> None:
    steering = Steering(configuration())
    model, before = steering.model, steering.configuration
    steering.decide([set_("F", 0.05), command("pause"), command("every", 1), command("stop")], 3)
    assert steering.model is model
    assert steering.configuration is before
    assert not steering.is_paused
    assert not steering.stop


def test_orders_leave_a_model_alone_that_nobody_set() -> None:
    steering = Steering(configuration())
    model = steering.model
    carry_out(steering, command("every", 1))
    assert steering.model is model
