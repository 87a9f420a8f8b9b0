"""What a published frame costs the simulation, in simulation steps, against what one would do instead.

The simulation is pinned to one core and everything else to the other, or all share both. A frame is one field of
2048 x 2048 float32, 16.8 MB, every 16 steps. What counts is the time of the loop; what is still on its way at its
end does not, but for the sustained rate.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from observed_program import FRAME_BYTES

from lockstream.kafka.broker import BrokerInfo, embedded_broker

PROGRAM = Path(__file__).with_name("observed_program.py")
MPIRUN = str(Path(sys.executable).with_name("mpirun"))
NOTHING, AGAIN, OURS = "nothing", "nothing again", "lockstream"
OTHERS = ("hdf5", "bp5", "produce")
TITLES = {
    AGAIN: "no output once more: the noise",
    OURS: "Lockstream",
    "hdf5": "rank 0 writes HDF5",
    "bp5": "openPMD over BP5, from rank 0",
    "produce": "a plain produce and flush",
}
GOALS = {"pinned": 0.5, "shared": 1.5}
LIMIT = 120.0


def measure(folder: Path, rounds: int = 3) -> list[dict[str, Any]]:
    """Race all ways in each setting.

    Returns
    -------
    list of dict
        Cost of a frame in steps, median over the rounds, and megabytes a second until all is acknowledged.
    """
    cores = sorted(os.sched_getaffinity(0))
    settings = [("shared", 1, None), ("shared", 2, None)]
    if len(cores) > 1:
        settings.insert(0, ("pinned", 1, cores))
    results = []
    for number, (setting, ranks, pinned) in enumerate(settings):
        with embedded_broker(folder / f"observed-{number}") as broker, _archiver(folder, broker) as pid:
            if pinned:
                _pin(broker.pid, pinned[1:])
                _pin(pid, pinned[1:])
            results += _race(folder, broker, setting, ranks, pinned, rounds)
        shutil.rmtree(folder / f"observed-{number}")
    return results


def _race(
    folder: Path, broker: BrokerInfo, setting: str, ranks: int, pinned: list[int] | None, rounds: int
) -> list[dict[str, Any]]:
    ways = [NOTHING, AGAIN, OURS, *OTHERS]
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way in ways:
            found = _run(folder, broker, way.split()[0], ranks, pinned)
            if turn and found:
                taken[way].append(found)
    step = statistics.median(r["seconds"] / r["steps"] for r in taken[NOTHING])
    where = f"{ranks} rank{'s' * (ranks > 1)}, {'a core to spare' if pinned else 'cores shared'}"
    results = []
    for way in ways[1:]:
        if not taken[way]:
            continue
        pairs = zip(taken[way], taken[NOTHING], strict=True)
        costs = [(a["seconds"] - b["seconds"]) / a["frames"] / step for a, b in pairs]
        rates = [r["frames"] * FRAME_BYTES / (r["seconds"] + r["closing"]) / 1e6 for r in taken[way]]
        results.append(
            {
                "title": f"steps per frame, {where}: {TITLES[way]}",
                "ratio": statistics.median(costs),
                "all": costs,
                "step_seconds": step,
                "megabytes_per_second": statistics.median(rates),
                **({"at_most": GOALS[setting]} if way == OURS else {}),
            }
        )
    return results


def _run(
    folder: Path, broker: BrokerInfo, way: str, ranks: int, pinned: list[int] | None
) -> dict[str, float] | None:
    result, place = folder / "result.json", folder / "output"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    command = [MPIRUN, "-n", str(ranks), sys.executable, "-m", "mpi4py", str(PROGRAM)]
    command += [way, str(result), str(place), broker.bootstrap_servers, *([str(pinned[0])] if pinned else [])]
    done = subprocess.run(command, timeout=LIMIT, capture_output=True, text=True, check=False)
    if done.returncode and way == "bp5":
        return None  # openpmd-api is not installed
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(result.read_text())
    return found


@contextmanager
def _archiver(folder: Path, broker: BrokerInfo) -> Iterator[int]:
    """An archiver of all runs, so that there is somebody who reads along."""
    archive = folder / "observed-archive"
    command = [sys.executable, "-m", "lockstream.cli", "archive", "follow", "--archive", str(archive)]
    environment = os.environ | {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process.pid
        finally:
            process.terminate()
            process.wait(60)
            shutil.rmtree(archive, ignore_errors=True)


def _pin(pid: int, cores: list[int]) -> None:
    """Bind a process with all its threads."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)
