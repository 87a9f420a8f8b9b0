"""The drill of the bridge: the same run again and again, each time with another fault."""

import math
import resource
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstream.cli.bridge_bench import BridgeBench
from lockstream.cli.bridge_fault import Fault
from lockstream.cli.bridge_faults import REFERENCE, chosen
from lockstream.cli.bridge_report import Row
from lockstream.cli.bridge_run import SHAPE, SPACING
from lockstream.cli.drill_bench import DrillFailed, Say, wait_for
from lockstream.kafka.children import Child
from lockstream.mpi_jobs.launch import mpirun_command

FRAME_SECONDS = 0.1  # between two published steps, on an idle machine
TRIAL_STEPS = 20000


def run_drill(folder: Path, outage: float, names: Sequence[str], seed: int, say: Say) -> list[Row]:
    """Run the drills of the bridge in `folder` and return what came of them, the undisturbed run first.

    Parameters
    ----------
    folder
        Gets a broker, archives, spools and logs; what a clean drill leaves in the archive is removed.
    outage
        Seconds for which broker or link are away.
    names
        Which faults; empty means all.
    seed
        Of the initial state and the random moments.
    say
        Told about the progress.
    """
    faults = chosen(names)
    frames = {name: math.ceil(fault.seconds(outage) / FRAME_SECONDS) for name, fault in faults.items()}
    bench = BridgeBench(folder, outage, seed, say)
    bench.every = _steps_in(bench, FRAME_SECONDS)  # before there is a broker that competes for the processors
    with bench:
        say(f"a step of 1 MiB every {bench.every} time steps; the reference, {max(frames.values())} of them")
        rows = [REFERENCE.apply(bench, "reference", max(frames.values()))]
        rows += [_drill(bench, name, fault, frames[name]) for name, fault in faults.items()]
    return rows


def _drill(bench: BridgeBench, name: str, fault: Fault, frames: int) -> Row:
    """Do one; if that does not work, say so and leave the bench fit for the next."""
    try:
        row = fault.apply(bench, name, frames)
    except DrillFailed as failure:
        bench.restore()
        row = Row(fault=name, policy=fault.policy, problems=[str(failure)])
    bench.say(f"{name}: {row.archived} steps archived, {row.lost} lost")
    if row.is_clean:
        for archive in bench.archive.glob(f"{name}-????????"):
            shutil.rmtree(archive)
    return row


def _steps_in(bench: BridgeBench, seconds: float) -> int:
    """Measure how many time steps two ranks do in so many seconds on this machine if it is idle."""
    alone = (_trial(bench, TRIAL_STEPS) - _trial(bench, 1)) / (TRIAL_STEPS - 1)
    return max(1, round(2 * seconds / alone)) if alone > 0 else TRIAL_STEPS


def _trial(bench: BridgeBench, steps: int) -> float:
    """Return the processor time that a run on one rank takes: unlike its duration, others do not change it."""
    config = bench.folder / "trial.toml"
    config.write_text(
        f'[run]\nid = "trial"\nmodel = "gray-scott"\nsteps = {steps}\n'
        f"[domain]\nshape = {list(SHAPE)}\nspacing = {[SPACING] * 2}\n"
        f'[model]\npattern = "theta"\n[stream]\nevery = {TRIAL_STEPS}\n'
    )
    command = [*mpirun_command(1), sys.executable, "-m", "lockstream.cli", "simulate", str(config)]
    before = _spent()
    trial = Child("trial", [*command, "--no-stream"], bench.folder / "trial.log", bench.environment)
    try:
        wait_for(lambda: trial.exit_code is not None, "the end of a trial without stream")
    finally:
        trial.end()
    if trial.exit_code:
        raise DrillFailed(f"the simulation does not run here: {trial.log.read_text()}")
    return _spent() - before


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
