"""The faults of the bridge's drill: what is done to a run, and how the run must take it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lockstream.cli.bridge_bench import BridgeBench
from lockstream.cli.bridge_report import Row
from lockstream.cli.bridge_run import SimulatedRun
from lockstream.cli.drill_bench import DrillFailed

SLOW_BYTES = 2 << 20  # bytes per second: a fraction of what a run produces
RESET_SECONDS = 0.5
SMALL_SPOOL = 20 << 20  # bytes: the buffer's reserve, and some steps
SHORT_CLOSE = 3.0  # seconds

Action = Callable[[BridgeBench, SimulatedRun], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Parameters
    ----------
    title
        Of its row; ``{outage}`` stands for the seconds.
    action
        Starts the run, disturbs it and sees it through to its last attempt's end.
    exit_codes
        How its attempts must end; a launcher that is killed, 137.
    policy
        Of the stream.
    is_long
        Whether the run must be longer than an outage.
    is_complete
        Whether all steps must be published in the end.
    is_relayed
        Whether it goes through the relay.
    settings
        More keys of the ``[stream]`` table.
    """

    title: str
    action: Action
    exit_codes: tuple[int, ...] = (0,)
    policy: str = "spill"
    is_long: bool = True
    is_complete: bool = True
    is_relayed: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)

    def apply(self, bench: BridgeBench, name: str, frames: int) -> Row:
        """Do it, and say what came of it."""
        settings = {"policy": f'"{self.policy}"', **self.settings}
        run = bench.open_run(name, frames, is_relayed=self.is_relayed, **settings)
        self.action(bench, run)
        row = bench.settle(run, self.title.format(outage=f"{bench.outage:g}"), self.policy, self.is_complete)
        if tuple(row.exit_codes) != self.exit_codes:
            row.problems.append(
                f"exit codes {row.exit_codes}, expected {self.exit_codes}: {run.last_words()}"
            )
        if (
            row.dropped is not None
            and row.dropped != len(run.steps) - row.archived - row.lost
            and self.policy == "drop"
        ):
            row.problems.append(
                f"{row.dropped} steps were dropped, and {row.archived} of {len(run.steps)} are archived"
            )
        return row


def _undisturbed(bench: BridgeBench, run: SimulatedRun) -> None:
    run.start()
    bench.follow(run)
    bench.finish(run)


def _while_away(disturb: Callable[[BridgeBench], None]) -> Action:
    """Make an action that disturbs the broker or the way to it in the middle of a run."""

    def act(bench: BridgeBench, run: SimulatedRun) -> None:
        run.start()
        bench.follow(run)
        run.wait_for_tenth(1)
        disturb(bench)
        bench.finish(run)

    return act


def _kill_broker(bench: BridgeBench) -> None:
    bench.broker.kill()
    bench.sleep()
    bench.broker.start()


def _pause_broker(bench: BridgeBench) -> None:
    with bench.broker.paused():
        bench.sleep()


def _slow_link(bench: BridgeBench) -> None:
    bench.relay.bytes_per_second, bench.relay.delay = SLOW_BYTES, 0.05
    bench.sleep()
    bench.relay.heal()


def _black_hole(bench: BridgeBench) -> None:
    bench.relay.is_hole = True
    bench.sleep()
    bench.relay.heal()


def _resets(bench: BridgeBench) -> None:
    end = time.monotonic() + bench.outage
    while time.monotonic() < end:
        bench.relay.reset()
        time.sleep(RESET_SECONDS)


def _gone_at_the_end(bench: BridgeBench, run: SimulatedRun) -> None:
    run.start()
    bench.follow(run)
    run.wait_for_tenth(7)
    bench.broker.kill()
    bench.finish(run)
    bench.broker.start()
    bench.drain(run)


def _away_at_the_start(bench: BridgeBench, run: SimulatedRun) -> None:
    bench.broker.kill()
    run.start()
    run.wait_for_tenth(3)
    bench.broker.start()
    bench.follow(run)
    bench.finish(run)


def _stopped(bench: BridgeBench, run: SimulatedRun) -> None:
    """The broker does not come back before the run has stopped."""
    run.start()
    bench.follow(run)
    run.wait_for_tenth(1)
    bench.broker.kill()
    bench.finish(run)
    bench.broker.start()


def _stopped_and_drained(bench: BridgeBench, run: SimulatedRun) -> None:
    _stopped(bench, run)
    bench.drain(run)


REFERENCE = Fault(title="none: the reference", action=_undisturbed)
FAULTS: Mapping[str, Fault] = {
    "broker-kill": Fault(
        title="SIGKILL of the broker, back after {outage} s", action=_while_away(_kill_broker)
    ),
    "broker-pause": Fault(title="SIGSTOP of the broker for {outage} s", action=_while_away(_pause_broker)),
    "slow-link": Fault(
        title="link slower than the run for {outage} s", action=_while_away(_slow_link), is_relayed=True
    ),
    "black-hole": Fault(
        title="link that swallows everything for {outage} s", action=_while_away(_black_hole), is_relayed=True
    ),
    "resets": Fault(title="connections reset for {outage} s", action=_while_away(_resets), is_relayed=True),
    "gone-at-end": Fault(
        title="broker away at the end, then spool drain",
        action=_gone_at_the_end,
        exit_codes=(1,),
        is_long=False,
        settings={"close_timeout": SHORT_CLOSE},
    ),
    "away-at-start": Fault(
        title="broker away at the start",
        action=_away_at_the_start,
        is_long=False,
        settings={"require_broker": "false"},
    ),
    "drop": Fault(
        title="SIGKILL of the broker, back after {outage} s", action=_while_away(_kill_broker), policy="drop"
    ),
    "stop": Fault(
        title="SIGKILL of the broker, then spool drain",
        action=_stopped_and_drained,
        exit_codes=(75,),
        policy="stop",
        is_long=False,
        is_complete=False,
        settings={"close_timeout": SHORT_CLOSE},
    ),
}


def chosen(names: tuple[str, ...]) -> Mapping[str, Fault]:
    """Return the faults of these names, all if there are none."""
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise DrillFailed(f"--only {unknown[0]}: known are {', '.join(FAULTS)}")
    return {name: fault for name, fault in FAULTS.items() if name in names or not names}
