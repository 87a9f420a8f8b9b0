"""One simulation, observed in one way; started with mpirun by observing.py.

``observed_program.py WAY RESULT.json FOLDER SERVERS RUN [CORE…]``: runs Gray-Scott and writes what it took. With
cores given, rank n binds itself to the n-th. Exit code 3: this way needs a package that is not installed.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from mpi4py import MPI

from lockstream.bridge.settings import convert
from lockstream.mpi_jobs.collect import gather_field
from lockstream.mpi_jobs.config import Configuration, decompose
from lockstream.mpi_jobs.initial import make_initial_state
from lockstream.mpi_jobs.observers import Observer, Snapshot, StreamObserver, open_stream_observer
from lockstream.mpi_jobs.simulation import run_simulation

SHAPE = (2048, 2048)
# Seldom enough that a broker and an archiver on one core keep up. When they do not, what is measured is the wait for
# them, their throughput and not the cost of a frame: on a VM that gives free pages back to its host, at every 16.
EVERY = 64
# 26 frames, 436 MB: more than the stream's buffer holds, so that it cannot hide what it does not send.
STEPS = 25 * EVERY
FIELD = "v"
SPACING = 2.5 / 256
# Where v spreads into nothing it is denormal for a hundred steps, which some processors compute twice as slowly: costs
# in steps would look smaller than they are. From here it does not get there within `STEPS`.
BACKGROUND = np.float32(1e-3)
FRAME_BYTES = SHAPE[0] * SHAPE[1] * 4
NOT_INSTALLED = 3
TOUCHED_BYTES = 4 << 30  # for the loop, the topic and the archive


class Gathering:
    """Brings the frame together on rank 0, as one would by hand, and hands it on."""

    def __init__(self, comm: MPI.Intracomm, configuration: Configuration) -> None:
        self._comm, self._decomposition = comm, decompose(configuration, comm.size)

    def observe(self, snapshot: Snapshot) -> None:
        """Gather the field and write it."""
        frame = gather_field(self._comm, self._decomposition, snapshot.blocks[FIELD])
        if frame is not None:
            self.write(snapshot.step, frame)

    def write(self, step: int, frame: np.ndarray[Any, Any]) -> None:
        """Do something with the frame, on rank 0."""

    def close(self, error: BaseException | None) -> None:
        """Nothing to do."""


class Hdf5(Gathering):
    """Rank 0 writes HDF5 itself: one dataset, a chunk per frame, no fsync."""

    def __init__(self, comm: MPI.Intracomm, configuration: Configuration, folder: Path) -> None:
        super().__init__(comm, configuration)
        self._file = h5py.File(folder / "frames.h5", "w") if comm.rank == 0 else None
        if self._file is not None:
            frames = STEPS // EVERY + 1
            self._file.create_dataset(FIELD, (frames, *SHAPE), "f4", chunks=(1, *SHAPE))

    def write(self, step: int, frame: np.ndarray[Any, Any]) -> None:
        """Write the frame."""
        if self._file is not None:
            self._file[FIELD][step // EVERY] = frame

    def close(self, error: BaseException | None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class Bp5(Gathering):
    """Rank 0 writes openPMD over ADIOS2's BP5."""

    def __init__(self, comm: MPI.Intracomm, configuration: Configuration, folder: Path) -> None:
        super().__init__(comm, configuration)
        try:
            import openpmd_api
        except ImportError:
            sys.exit(NOT_INSTALLED)  # on all ranks alike
        if comm.rank == 0:
            self._io = openpmd_api
            self._series = openpmd_api.Series(str(folder / "frames.bp5"), openpmd_api.Access.create_linear)

    def write(self, step: int, frame: np.ndarray[Any, Any]) -> None:
        """Write an iteration."""
        iteration = self._series.write_iterations()[step]
        component = iteration.meshes[FIELD]
        component.reset_dataset(self._io.Dataset(frame.dtype, frame.shape))
        component.store_chunk(frame)
        iteration.close()

    def close(self, error: BaseException | None) -> None:
        """Close the series."""
        if self._comm.rank == 0:
            self._series.close()


class Produce(Gathering):
    """Rank 0 produces the frame in portions and waits for the acknowledgements: the plain way to Kafka."""

    def __init__(self, comm: MPI.Intracomm, configuration: Configuration, servers: str) -> None:
        super().__init__(comm, configuration)
        if comm.rank == 0:
            import confluent_kafka

            from lockstream.bridge.client import admin_client
            from lockstream.bridge.topics import MAX_MESSAGE_BYTES, create_topic, run_topic_settings

            self._topic = configuration.run.id
            kafka = {"bootstrap.servers": servers}
            create_topic(
                admin_client(kafka), self._topic, partitions=1, replication=1, settings=run_topic_settings(-1)
            )
            more = {"enable.idempotence": True, "acks": "all", "message.max.bytes": MAX_MESSAGE_BYTES}
            self._producer = confluent_kafka.Producer({**kafka, **more, "linger.ms": 1})

    def write(self, step: int, frame: np.ndarray[Any, Any]) -> None:
        """Send it and wait."""
        for row in range(0, SHAPE[0], 64):
            self._producer.produce(self._topic, value=frame[row : row + 64])
        if left := self._producer.flush(60):
            raise RuntimeError(f"{left} messages of step {step} were not acknowledged")


def main() -> None:
    """Run once."""
    way, result, folder, servers, run = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:6]
    comm, cores = MPI.COMM_WORLD, [int(core) for core in sys.argv[6:]]
    if cores:
        os.sched_setaffinity(0, {cores[comm.rank]})
    tables = {
        "run": {"id": run, "model": "gray-scott", "steps": STEPS},
        "domain": {"shape": list(SHAPE), "spacing": [SPACING, SPACING]},
        "model": {"dt": 1.0},
        "stream": {"every": EVERY, "fields": [FIELD], "spool": str(folder / "spool")},
        "kafka": {"bootstrap.servers": servers},
    }
    configuration = convert(tables, Configuration)
    publisher = open_stream_observer(comm, configuration) if way == "lockstream" else None
    others: dict[str, Callable[[], Observer]] = {
        "hdf5": lambda: Hdf5(comm, configuration, folder),
        "bp5": lambda: Bp5(comm, configuration, folder),
        "produce": lambda: Produce(comm, configuration, servers),
    }
    observers = [others[way]()] if way in others else []
    initial = make_initial_state(comm, configuration)
    if initial is not None:
        initial[FIELD] += BACKGROUND
    ballast = np.ones(TOUCHED_BYTES, np.uint8)  # pages that nobody has touched cost ten times as much on a VM
    del ballast
    begun = time.process_time()
    taken = run_simulation(comm, configuration, initial, observers, publisher=publisher)
    if comm.rank == 0:
        figures = {
            "seconds": taken.seconds,
            "closing": taken.closing_seconds,
            "frames": taken.snapshots,
            "steps": taken.steps,
            "cpu": time.process_time() - begun,
            **_of_stream(publisher),
        }
        result.write_text(json.dumps(figures))


def _of_stream(publisher: StreamObserver | None) -> dict[str, float]:
    """What the figures would hide: frames that were not sent, or took the way over the disk."""
    summary = publisher.summary if publisher else None
    if summary is None:
        return {}
    return {
        "dropped": summary.dropped,
        "spilled": summary.spilled,
        "publishing": summary.publish_seconds,
        "waited": summary.wait_seconds,
        "longest_wait": summary.longest_wait_seconds,
    }


if __name__ == "__main__":
    main()
