"""Publishes steps, says what this process is made of, and dies: ``dying_program.py RUN STEPS [BROKER]``.

A broker whose process id is given is stopped before the first step.
"""

import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np

from lockstream.bridge import Block, Field, StreamSettings, open_stream

FIELD = Field("u", (64, 256))


def values(step: int) -> np.ndarray:  # type: ignore[type-arg]
    """What the field holds at a step."""
    return np.full(FIELD.shape, step, "f4")


def main() -> None:
    """Die as hard as a process can, with steps on their way."""
    from mpi4py import MPI

    settings = StreamSettings(close_timeout=1.0) if len(sys.argv) > 3 else None
    stream = open_stream(MPI.COMM_SELF, run=sys.argv[1], fields=[FIELD], settings=settings)
    if settings is not None:
        assert stream.sync(20.0)  # run-started is there; the rest will not be
        os.kill(int(sys.argv[3]), signal.SIGSTOP)
    for step in range(int(sys.argv[2])):
        stream.publish(step, time=float(step), blocks={"u": Block(values(step), (0, 0))})
    tasks = len(list(Path("/proc/self/task").iterdir()))
    sys.stdout.write(f"{'confluent_kafka' in sys.modules} {threading.active_count()} {tasks}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
