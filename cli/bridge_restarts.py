"""The faults after which a run is started again: what was killed, and on how many ranks it goes on."""

from collections.abc import Callable, Mapping

from lockstream.cli.bridge_bench import BridgeBench
from lockstream.cli.bridge_fault import ANY, SHORT_CLOSE, Action, Fault
from lockstream.cli.bridge_run import SimulatedRun

SMALL_SPOOL = 20 << 20  # bytes: the buffer's reserve, and some steps
FRAMES_PER_CHECKPOINT = 15
FIRST_TENTH, LAST_TENTH = 3, 7  # of a run, between which it is killed


def _resumed(kill: Callable[[SimulatedRun], None], ranks: int = 2) -> Action:
    """Make an action that kills something at a random moment and lets the run go on."""

    def act(bench: BridgeBench, run: SimulatedRun) -> None:
        run.start()
        bench.follow(run)
        run.wait_for_tenth(bench.chance.randint(FIRST_TENTH, LAST_TENTH))
        kill(run)
        bench.finish(run)
        run.start(ranks, is_resumed=True)
        bench.finish(run)

    return act


def _spool_filled(bench: BridgeBench, run: SimulatedRun) -> None:
    run.start()
    bench.follow(run)
    run.wait_for_tenth(FIRST_TENTH)
    bench.broker.kill()
    bench.finish(run)
    bench.broker.start()
    run.start(is_resumed=True)
    bench.finish(run)


def _killed_in_outage(bench: BridgeBench, run: SimulatedRun) -> None:
    """What the publisher has accepted must survive without Kafka and without the simulation."""
    run.start()
    bench.follow(run)
    run.wait_for_tenth(FIRST_TENTH)
    bench.broker.kill()
    run.wait_for_tenth(LAST_TENTH)
    run.kill_rank(0)
    bench.finish(run)
    bench.broker.start()
    run.start(is_resumed=True)
    bench.finish(run)


def _killed(title: str, action: Action, *, code: int | None = ANY, **stream: object) -> Fault:
    return Fault(
        title=title,
        action=action,
        exit_codes=(code, 0),
        frames_per_checkpoint=FRAMES_PER_CHECKPOINT,
        settings=stream,
    )


RESTARTS: Mapping[str, Fault] = {
    "spool-full": _killed(
        "spool full, resumed",
        _spool_filled,
        code=75,
        spool_bytes=SMALL_SPOOL,
        close_timeout=SHORT_CLOSE,
    ),
    "rank-0": _killed("SIGKILL of rank 0, resumed", _resumed(lambda run: run.kill_rank(0))),
    "rank-1": _killed("SIGKILL of rank 1, resumed", _resumed(lambda run: run.kill_rank(1))),
    "mpirun": _killed(
        "SIGKILL of mpirun, resumed on 1 rank", _resumed(lambda run: run.kill_launcher(), ranks=1)
    ),
    "publisher": _killed("SIGKILL of the publisher, resumed", _resumed(lambda run: run.kill_publisher())),
    "rank-0-outage": _killed(
        "SIGKILL of rank 0 while the broker is away, resumed", _killed_in_outage, close_timeout=SHORT_CLOSE
    ),
}
