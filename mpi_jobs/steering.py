"""What becomes of commands to a running simulation: decided on rank 0, carried out on all ranks at one step.

`Steering` is pure logic: it knows neither MPI nor Kafka. Rank 0 makes `Orders` of the commands, they travel
as bytes, and every rank applies them. Orders say how things shall be, not how they shall change, so that all
ranks are alike after them whatever they were before. The time step never changes: time stays step * dt.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import msgspec

from lockstream.bridge.control import Command, Value, is_signed
from lockstream.bridge.errors import ConfigurationError
from lockstream.bridge.messages import MAX_STEP, Steered
from lockstream.bridge.settings import convert, unknown_key
from lockstream.mpi_jobs.config import Configuration, build_model
from lockstream.mpi_jobs.models import Model, SteerableModel, find_model

Table = dict[str, Any]


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """How things shall be from `step` on.

    Parameters
    ----------
    step
        The simulation's step at which all ranks are.
    model
        The ``[model]`` table; None to leave the model alone.
    every
        Publish every n-th step.
    is_paused
        Whether no further step is done for the time being.
    checkpoint
        Whether a checkpoint is to be written now.
    stop
        Why the run shall end in good order; empty if it shall not.
    """

    step: int
    model: Table | None = None
    every: int
    is_paused: bool = False
    checkpoint: bool = False
    stop: str = ""


class Decision(NamedTuple):
    """What rank 0 made of some commands.

    Parameters
    ----------
    orders
        For all ranks; None if nothing changes.
    records
        One for each command, to be published once the orders are carried out.
    """

    orders: Orders | None
    records: list[Steered]


class _Refused(Exception):
    """A command that is not carried out, and why."""


class Steering:
    """What of a run can be changed while it goes on; the same on all ranks.

    Parameters
    ----------
    configuration
        What is run. Whoever may steer is up to its ``steering`` table.
    attempt
        Which attempt of the run this is.
    """

    def __init__(self, configuration: Configuration, attempt: int = 0) -> None:
        self._settings, self._attempt = configuration.steering, attempt
        self.configuration = configuration
        """As it is in effect: with all that was set, and with dt. A restart goes on from this one."""
        self.model: Model = build_model(configuration)
        """The equations in effect; another object after every ``set``."""
        self.is_paused = False
        self.stop = ""
        """Why the run shall end; empty if it shall not."""

    @property
    def every(self) -> int:
        """Publish every n-th step."""
        return self.configuration.stream.every

    def decide(self, commands: Sequence[Command], step: int, now: datetime | None = None) -> Decision:
        """Look at commands in their order; nothing changes before `apply`. On rank 0.

        Parameters
        ----------
        commands
            Those that have arrived.
        step
            Where the simulation is.
        now
            With a time zone; left out, what the clock says.
        """
        draft = _Draft(self)
        records = [self._answer(draft, command, step, now or datetime.now(UTC)) for command in commands]
        return Decision(draft.orders(step) if draft.has_changed else None, records)

    def apply(self, orders: Orders) -> None:
        """Carry orders out, as far as they are about this object; on all ranks alike."""
        configuration = self.configuration
        stream = msgspec.structs.replace(configuration.stream, every=orders.every)
        configuration = msgspec.structs.replace(configuration, stream=stream)
        if orders.model is not None:
            configuration = msgspec.structs.replace(configuration, model=orders.model)
            self.model = build_model(configuration)
        self.configuration = configuration
        self.is_paused, self.stop = orders.is_paused, orders.stop

    def _answer(self, draft: "_Draft", command: Command, step: int, now: datetime) -> Steered:
        key, old, new, refused = command.key, None, None, ""
        try:
            self._check(draft, command, now)
            key, old, new = draft.take(command)
        except _Refused as reason:
            refused = str(reason)
        return Steered(
            run=self.configuration.run.id,
            attempt=self._attempt,
            id=command.id,
            command=command.command,
            who=command.who,
            sent=command.sent,
            step=step,
            key=key,
            old=old,
            new=new,
            refused=refused,
        )

    def _check(self, draft: "_Draft", command: Command, now: datetime) -> None:
        if not self._settings.enabled:
            raise _Refused("steering is not enabled; start the run with steering.enabled = true")
        if command.run != self.configuration.run.id:
            raise _Refused(f"it is for run {command.run!r}")
        if command.attempt not in (-1, self._attempt):
            raise _Refused(f"it is for attempt {command.attempt}, this is attempt {self._attempt}")
        if self._settings.secret and not is_signed(command, self._settings.secret):
            raise _Refused("it is not signed with the run's steering.secret")
        if command.has_expired(now):
            raise _Refused(f"it expired at {command.expires}, before the simulation came to it")
        if draft.stop:
            raise _Refused("the run is stopping")


class _Draft:
    """How things would be after the commands so far."""

    def __init__(self, steering: Steering) -> None:
        self._domain = steering.configuration.domain
        self._class = find_model(steering.configuration.run.model)
        self._model, self._has_new_model = steering.model, False
        self._every, self._is_paused, self._checkpoint = steering.every, steering.is_paused, False
        self.stop, self.has_changed = steering.stop, False

    def orders(self, step: int) -> Orders:
        model = _table(cast(SteerableModel, self._model)) if self._has_new_model else None
        return Orders(
            step=step,
            model=model,
            every=self._every,
            is_paused=self._is_paused,
            checkpoint=self._checkpoint,
            stop=self.stop,
        )

    def take(self, command: Command) -> tuple[str, Value, Value]:
        """Take a command in; return key, old and new value of what it changes."""
        found: tuple[str, Value, Value] = ("", None, None)
        match command.command:
            case "pause":
                if self._is_paused:
                    raise _Refused("the run is paused already")
                self._is_paused = True
            case "resume":
                if not self._is_paused:
                    raise _Refused("the run is not paused")
                self._is_paused = False
            case "checkpoint":
                self._checkpoint = True
            case "stop":
                self.stop = f"stopped by {command.who}"
            case "every":
                found = self._set_every(command.value)
            case "set":
                found = self._set_parameter(command.key, command.value)
        self.has_changed = True
        return found

    def _set_every(self, value: Value) -> tuple[str, Value, Value]:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < MAX_STEP:
            raise _Refused(f"stream.every = {value!r}: must be a whole number, at least 1")
        old, self._every = self._every, value
        return "stream.every", old, value

    def _set_parameter(self, key: str, value: Value) -> tuple[str, Value, Value]:
        known = sorted(getattr(self._class, "steerable", ()))
        table, _, name = key.partition(".")
        if not known:
            raise _Refused(f"{key} = {value!r}: this model has no parameter that can be steered")
        if table != "model" or name not in known:
            raise _Refused(str(unknown_key(key, value, known)).replace("unknown key", "cannot be steered"))
        old = cast(SteerableModel, self._model)
        new = self._with(old, name, value)
        self._model, self._has_new_model = new, True
        return key, _plain(getattr(old.parameters, name)), _plain(getattr(new.parameters, name))

    def _with(self, old: SteerableModel, name: str, value: Value) -> SteerableModel:
        key = f"model.{name}"
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            raise _Refused(f"{key} = {value!r}: must have a finite value")
        try:
            parameters = convert(_table(old) | {name: value}, self._class.Parameters, "model")
            new = cast(SteerableModel, self._class(parameters, self._domain))
        except ConfigurationError as error:
            raise _Refused(str(error)) from None
        except (ValueError, ArithmeticError) as error:
            raise _Refused(f"{key} = {value!r}: {error}") from None
        if not new.dt == old.dt <= new.largest_stable_dt:
            raise _Refused(
                f"{key} = {value!r}: the run's time step, {old.dt:.6g}, would be unstable; "
                f"the largest stable one would be {new.largest_stable_dt:.6g}"
                if new.dt == old.dt
                else f"{key} = {value!r}: would change the time step, which must stay {old.dt:.6g}"
            )
        return new


def _table(model: SteerableModel) -> Table:
    """The ``[model]`` table in effect; what is None there is left out, as in a file."""
    table: Table = msgspec.to_builtins(model.parameters)
    return {name: value for name, value in table.items() if value is not None}


def _plain(value: object) -> Value:
    return value if isinstance(value, int | float | str) else None
