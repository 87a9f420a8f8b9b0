"""Publishes steps, says what this process is made of, and dies: ``dying_program.py RUN STEPS``."""

import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np

from lockstream.bridge import Block, Field, open_stream

FIELD = Field("u", (64, 256))


def values(step: int) -> np.ndarray:  # type: ignore[type-arg]
    """What the field holds at a step."""
    return np.full(FIELD.shape, step, "f4")


def main() -> None:
    """Die as hard as a process can, with steps on their way."""
    from mpi4py import MPI

    stream = open_stream(MPI.COMM_SELF, run=sys.argv[1], fields=[FIELD])
    for step in range(int(sys.argv[2])):
        stream.publish(step, time=float(step), blocks={"u": Block(values(step), (0, 0))})
    tasks = len(list(Path("/proc/self/task").iterdir()))
    sys.stdout.write(f"{'confluent_kafka' in sys.modules} {threading.active_count()} {tasks}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
