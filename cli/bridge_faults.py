"""The faults of the bridge's drill that a run goes on through, or ends with."""

import time
from collections.abc import Callable, Mapping, Sequence

from lockstream.bridge.errors import ConfigurationError
from lockstream.cli.bridge_bench import BridgeBench
from lockstream.cli.bridge_fault import SHORT_CLOSE, Action, Fault
from lockstream.cli.bridge_restarts import RESTARTS
from lockstream.cli.bridge_run import SimulatedRun

SLOW_BYTES = 2 << 20  # bytes per second: a fraction of what a run produces
SLOW_DELAY = 0.05  # seconds
BEYOND = 5.0  # seconds that a run goes on before and after an outage,
BEYOND_RESTART = 12.0  # if the broker has to start and to recover its log
RESET_SECONDS = 0.5  # between two


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
    bench.relay.bytes_per_second, bench.relay.delay = SLOW_BYTES, SLOW_DELAY
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
    run.wait_for_tenth(3)
    bench.broker.kill()
    bench.finish(run)
    bench.broker.start()
    bench.drain(run)


REFERENCE = Fault(title="none: the reference", action=_undisturbed)
_FAULTS: dict[str, Fault] = {
    "broker-kill": Fault(
        title="SIGKILL of the broker, back after {outage} s",
        action=_while_away(_kill_broker),
        beyond=BEYOND_RESTART,
    ),
    "broker-pause": Fault(
        title="SIGSTOP of the broker for {outage} s", action=_while_away(_pause_broker), beyond=BEYOND
    ),
    "slow-link": Fault(
        title="link slower than the run for {outage} s",
        action=_while_away(_slow_link),
        beyond=BEYOND,
        is_relayed=True,
    ),
    "black-hole": Fault(
        title="link that swallows everything for {outage} s",
        action=_while_away(_black_hole),
        beyond=BEYOND,
        is_relayed=True,
    ),
    "resets": Fault(
        title="connections reset for {outage} s", action=_while_away(_resets), beyond=BEYOND, is_relayed=True
    ),
    "gone-at-end": Fault(
        title="broker away at the end, then spool drain",
        action=_gone_at_the_end,
        exit_codes=(1,),
        settings={"close_timeout": SHORT_CLOSE},
    ),
    "away-at-start": Fault(
        title="broker away at the start",
        action=_away_at_the_start,
        settings={"require_broker": "false"},
    ),
    "drop": Fault(
        title="SIGKILL of the broker, back after {outage} s",
        action=_while_away(_kill_broker),
        beyond=BEYOND_RESTART,
        policy="drop",
    ),
    "stop": Fault(
        title="SIGKILL of the broker, then spool drain",
        action=_stopped,
        exit_codes=(75,),
        policy="stop",
        is_complete=False,
        settings={"close_timeout": SHORT_CLOSE},
    ),
}


FAULTS: Mapping[str, Fault] = {**_FAULTS, **RESTARTS}


def chosen(names: Sequence[str]) -> Mapping[str, Fault]:
    """Return the faults of these names, all if there are none.

    Raises
    ------
    ConfigurationError
        If there is no such fault.
    """
    for name in names:
        if name not in FAULTS:
            raise ConfigurationError("--only", name, f"no such fault; there are {', '.join(FAULTS)}")
    return {name: fault for name, fault in FAULTS.items() if name in names or not names}
