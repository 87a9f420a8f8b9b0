"""`lockstream steer`: talks back to a running simulation."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lockstream.bridge.control import Command
    from lockstream.bridge.messages import Steered

ACTIONS = ("pause", "resume", "checkpoint", "stop", "set", "every", "history")
UNHEARD_SECONDS = 60.0  # lifetime of a command that nobody waits for
GRACE_SECONDS = 2.0  # for the answer to a command that was taken up at the last moment


@click.command()
@click.argument("run")
@click.argument("action", type=click.Choice(ACTIONS))
@click.argument("values", nargs=-1, metavar="[KEY=VALUE… | N]")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=86400),
    default=10.0,
    show_default=True,
    help="Seconds to wait for the answer; then the command expires. 0: do not wait.",
)
@click.option("--attempt", type=click.IntRange(min=0), help="Only if the run is in this attempt.")
@click.option("--config", type=click.Path(path_type=Path), help="A TOML file with [kafka] and [steering].")
@click.option("--set", "overrides", multiple=True, metavar="TABLE.KEY=VALUE", help="As kafka.… or steering.…")
def steer(
    run: str,
    action: str,
    values: tuple[str, ...],
    wait: float,
    attempt: int | None,
    config: Path | None,
    overrides: tuple[str, ...],
) -> int:
    """Talk back to RUN, a simulation that goes on and has steering.enabled = true.

    \b
        lockstream steer RUN pause | resume | checkpoint | stop
        lockstream steer RUN set F=0.035 k=0.06
        lockstream steer RUN every 10
        lockstream steer RUN history

    Says at which step it took effect, or why it was refused.
    """  # noqa: D301 - click's mark, not a backslash
    from lockstream.bridge.control import SteeringSettings, make_command
    from lockstream.bridge.settings import convert, read_tables
    from lockstream.kafka.steer import Conversation

    asked = _asked(action, values)
    tables = read_tables(config, overrides=overrides)
    settings = convert(tables.get("steering", {}), SteeringSettings, "steering")
    with Conversation(tables.get("kafka", {}), run, settings) as conversation:
        if action == "history":
            return _show_history(list(conversation.history()))
        commands = [
            make_command(
                run,
                **each,
                attempt=-1 if attempt is None else attempt,
                lifetime=wait or UNHEARD_SECONDS,
                secret=settings.secret,
            )
            for each in asked
        ]
        conversation.send(commands)
        if wait == 0:
            click.echo(f"sent; it expires in {UNHEARD_SECONDS:.0f} s if nobody takes it up")
            return 0
        is_done = [_tell(answer) for answer in conversation.answers(commands, wait + GRACE_SECONDS)]
    return _outcome(commands, is_done, wait)


def _asked(action: str, values: Sequence[str]) -> list[dict[str, Any]]:
    """What the words ask for: one command each."""
    from lockstream.kafka.steer import parse_setting

    if action == "set":
        if not values:
            raise click.UsageError("set needs KEY=VALUE, e.g. set F=0.03")
        return [{"command": "set", "key": key, "value": value} for key, value in map(parse_setting, values)]
    if action == "every":
        if len(values) != 1 or not values[0].isdecimal() or not 1 <= int(values[0]) < 10**15:
            raise click.UsageError("every needs one whole number, at least 1, e.g. every 10")
        return [{"command": "every", "value": int(values[0])}]
    if values:
        raise click.UsageError(f"{action} takes no values, got {' '.join(values)}")
    return [{"command": action}]


def _tell(answer: "Steered") -> bool:
    """Print one answer; whether it took effect."""
    click.echo(_sentence(answer), err=bool(answer.refused))
    return not answer.refused


def _sentence(answer: "Steered") -> str:
    if answer.refused:
        return f"{answer.command} was refused at step {answer.step}: {answer.refused}"
    effect = f"{answer.key} {answer.old} -> {answer.new}" if answer.key else answer.command
    return f"took effect at step {answer.step}: {effect}"


def _outcome(commands: "Sequence[Command]", is_done: Sequence[bool], wait: float) -> int:
    if len(is_done) < len(commands):
        missing = f"{len(commands) - len(is_done)} of {len(commands)} commands" if len(commands) > 1 else "it"
        click.echo(
            f"lockstream: nobody took {missing} up within {wait:g} s: is steering enabled, is the run going on? "
            "it has expired and will not be carried out later",
            err=True,
        )
        return 1
    return 0 if all(is_done) else 1


def _show_history(answers: "Sequence[Steered]") -> int:
    for answer in answers:
        click.echo(f"{answer.sent}  {answer.who}  attempt {answer.attempt}: {_sentence(answer)}")
    if not answers:
        click.echo("nobody has steered this run")
    return 0
