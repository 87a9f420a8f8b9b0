"""What a published frame costs the simulation, in simulation steps, against what one would do instead.

The simulation has cores of its own and everything else the others, or all share all. A frame is one field of
2048 x 2048 float32, 16.8 MB, every 64 steps. What counts is the time of the loop; what is still on its way at its
end does not, but for the sustained rate: bytes over the time until everything is acknowledged, or the file closed.
Looking at the state (sums, extremes) is in every contestant's loop, "nothing" included, so it is not in the cost.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from observed_program import FRAME_BYTES, NOT_INSTALLED

from lockstream.bridge.client import admin_client
from lockstream.bridge.messages import run_topic
from lockstream.kafka.broker import BrokerInfo, embedded_broker

PROGRAM = Path(__file__).with_name("observed_program.py")
MPIRUN = str(Path(sys.executable).with_name("mpirun"))
NOTHING, AGAIN, OURS = "nothing", "nothing again", "lockstream"
OTHERS = ("hdf5", "bp5", "produce")
THROUGH_KAFKA = (OURS, "produce")
TITLES = {
    AGAIN: "no output once more: the noise",
    OURS: "Lockstream",
    "hdf5": "rank 0 writes HDF5",
    "bp5": "openPMD over BP5, from rank 0",
    "produce": "a plain produce and flush",
}
TO_SPARE, SHARED = "a core to spare", "cores shared"
GOALS = {TO_SPARE: 0.5, SHARED: 1.5}
RUN_SECONDS, SETTLE_SECONDS = 180.0, 60.0

Figures = dict[str, float]


class _Place(NamedTuple):
    """Where one setting is run."""

    folder: Path
    broker: BrokerInfo
    archive: Path
    ranks: int
    cores: list[int]  # of the ranks, if they have some to themselves


def measure(folder: Path, rounds: int = 3) -> list[dict[str, Any]]:
    """Race all ways in each setting that there are cores for.

    Returns
    -------
    list of dict
        Cost of a frame in steps, median over the rounds; CPU of rank 0 per frame over that of a step; megabytes a
        second until all is acknowledged. What could not be measured has a note instead; what is nearer to its goal
        than the noise cannot be judged.
    """
    cores = sorted(os.sched_getaffinity(0))
    results = []
    for ranks in (1, 2):
        if len(cores) > ranks:
            results += _measure_setting(folder, TO_SPARE, ranks, cores, rounds)
        else:
            note = f"skipped: needs {ranks + 1} cores, there are {len(cores)}"
            results.append({"title": _title(ranks, TO_SPARE, "all"), "note": note})
        results += _measure_setting(folder, SHARED, ranks, [], rounds)
    return results


def _measure_setting(
    folder: Path, setting: str, ranks: int, cores: list[int], rounds: int
) -> list[dict[str, Any]]:
    home = folder / f"observing-{ranks}-{len(cores)}"
    with embedded_broker(home / "broker") as broker, _archiver(home, broker) as archiver:
        if cores:
            _pin(broker.pid, cores[ranks:])
            _pin(archiver, cores[ranks:])
        place = _Place(home, broker, home / "archive", ranks, cores[:ranks])
        taken = _race(place, rounds)
    shutil.rmtree(home)
    return _results(taken, ranks, setting)


def _race(place: _Place, rounds: int) -> dict[str, list[Figures]]:
    """Let every contestant run once a round, each round begun by another one; lists are empty for the absent."""
    ways = [NOTHING, AGAIN, OURS, *OTHERS]
    for way in THROUGH_KAFKA:  # the broker is slow until it has compiled what it does
        _run(place, way)
    taken: dict[str, list[Figures]] = {way: [] for way in ways}
    for turn in range(rounds):
        first = turn % len(ways)
        for way in ways[first:] + ways[:first]:
            figures = _run(place, way)
            if figures is not None:
                taken[way].append(figures)
    return taken


def _results(taken: dict[str, list[Figures]], ranks: int, setting: str) -> list[dict[str, Any]]:
    nothing = taken.pop(NOTHING)
    step, step_cpu = (
        statistics.median(run[key] / run["steps"] for run in nothing) for key in ("seconds", "cpu")
    )
    costs: dict[str, list[float]] = {}
    noise = statistics.median(map(abs, _over(taken[AGAIN], nothing, "seconds", step)))
    results: list[dict[str, Any]] = []
    for way, runs in taken.items():
        if not runs:
            note = "absent: openpmd-api is not installed (pip install 'lockstream[bench]')"
            results.append({"title": _title(ranks, setting, TITLES[way]), "note": note})
            continue
        costs[way] = _over(runs, nothing, "seconds", step)
        results.append(
            {
                "title": _title(ranks, setting, TITLES[way]),
                "ratio": statistics.median(costs[way]),
                "all": costs[way],
                "cpu": statistics.median(_over(runs, nothing, "cpu", step_cpu)),
                "step_seconds": step,
                "runs": runs,
            }
        )
        if way == AGAIN:
            results[-1]["runs without output"] = nothing
        else:
            rates = [r["frames"] * FRAME_BYTES / (r["seconds"] + r["closing"]) / 1e6 for r in runs]
            results[-1]["megabytes_per_second"] = statistics.median(rates)
        if way == OURS:
            results[-1] |= {"at_most": GOALS[setting], "noise": noise}
            inside = [r["publishing"] / r["frames"] / step for r in runs]
            results[-1]["time in publish"] = statistics.median(inside)
    medians = {way: statistics.median(costs[way]) for way in OTHERS if way in costs}
    best = min(medians, key=lambda way: medians[way])
    more = [ours - other for ours, other in zip(costs[OURS], costs[best], strict=True)]
    results.append(
        {
            "title": _title(ranks, setting, f"Lockstream more than the cheapest ({TITLES[best]})"),
            "ratio": statistics.median(more),
            "at_most": 0.0,
            "noise": noise,
        }
    )
    return results


def _over(runs: list[Figures], nothing: list[Figures], key: str, step: float) -> list[float]:
    """By how many steps per frame each run took more than the one without output in the same round."""
    return [(a[key] - b[key]) / a["frames"] / step for a, b in zip(runs, nothing, strict=True)]


def _title(ranks: int, setting: str, way: str) -> str:
    return f"steps per frame, {ranks} rank{'s' * (ranks > 1)}, {setting}: {way}"


def _run(place: _Place, way: str) -> Figures | None:
    """Run a simulation and wait until nothing of it is left to do; None if what it needs is not installed."""
    way = way.split()[0]
    output, result = place.folder / "output", place.folder / "result.json"
    output.mkdir()
    run = f"{way}-{uuid.uuid4().hex[:12]}"
    command = [MPIRUN, "-n", str(place.ranks), sys.executable, "-m", "mpi4py", str(PROGRAM), way]
    command += [str(result), str(output), place.broker.bootstrap_servers, run, *map(str, place.cores)]
    done = subprocess.run(command, timeout=RUN_SECONDS, capture_output=True, text=True, check=False)
    try:
        if done.returncode == NOT_INSTALLED:
            return None
        if done.returncode:
            raise RuntimeError(
                f"{way}: exit code {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
            )
        figures: Figures = json.loads(result.read_text())
        if figures.get("dropped"):
            raise RuntimeError(
                f"{way}: {figures['dropped']} frames were dropped, there is nothing to compare"
            )
        if way in THROUGH_KAFKA:
            _settle(place, way, run)
        return figures
    finally:
        shutil.rmtree(output)
        os.sync()  # the next one shall not wait for what this one wrote


def _settle(place: _Place, way: str, run: str) -> None:
    """Wait for the archiver, and remove the topic: the next contestant shall not pay for it."""
    topic = run
    if way == OURS:
        topic, limit = run_topic(run), time.monotonic() + SETTLE_SECONDS
        while f"{run}: completed" not in (place.folder / "archiver.log").read_text():
            if time.monotonic() > limit:
                raise RuntimeError(f"{run} is not archived {SETTLE_SECONDS:g} seconds after its end")
            time.sleep(0.1)
    admin = admin_client({"bootstrap.servers": place.broker.bootstrap_servers})
    admin.delete_topics([topic])[topic].result(30)


@contextmanager
def _archiver(folder: Path, broker: BrokerInfo) -> Iterator[int]:
    """An archiver of all runs, so that there is somebody who reads along; its process id."""
    command = [sys.executable, "-m", "lockstream.cli", "archive", "follow"]
    command += ["--archive", str(folder / "archive"), "--set", "archive.on_end=links"]
    environment = os.environ | {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    with (folder / "archiver.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _pin(pid: int, cores: list[int]) -> None:
    """Bind a process with all its threads."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
