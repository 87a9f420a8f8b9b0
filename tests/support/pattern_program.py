"""Does each pattern in one style, three times, participants coming late in turn: ``STYLE SERVERS TOPIC…``.

Rank 0 prints what was not brought, or done too soon; nothing if all is right.
"""

import sys
import time
from functools import partial

from mpi4py import MPI

from lockstream.contrast.patterns import in_kafka, in_mpi
from lockstream.contrast.patterns.party import Party
from lockstream.contrast.patterns.payload import payload

LATE_SECONDS = 0.005
SIZES = (8, 3 << 20)  # one record, and three


def main() -> None:
    comm = MPI.COMM_WORLD
    style, servers, *topics = sys.argv[1:]
    patterns = [name for name in in_mpi.PATTERNS if comm.size > 1 or name != "point-to-point"]
    wrong: list[str] = []
    for number, pattern in enumerate(patterns):
        if style == "mpi":
            exchange = partial(in_mpi.PATTERNS[pattern], comm)
            wrong += [f"{pattern}: {what}" for what in tried(comm, pattern, exchange)]
            continue
        with Party(servers, topics[number], comm.rank, comm.size) as party:
            exchange = partial(in_kafka.PATTERNS[pattern], party)
            wrong += [f"{pattern}: {what}" for what in tried(comm, pattern, exchange)]
            party.settle()
    for one in comm.gather(wrong) or []:
        sys.stdout.write("".join(f"{what}\n" for what in one))


def tried(comm: MPI.Intracomm, pattern: str, exchange: partial[None]) -> list[str]:
    wrong = []
    for nbytes in SIZES if pattern != "barrier" else (0,):
        part = payload(pattern, nbytes, comm.rank, comm.size)
        for late in range(comm.size):
            part.prepare(late + 1)
            time.sleep(LATE_SECONDS if comm.rank == late else 0)
            entered = time.monotonic()
            exchange(part.mine, part.got)
            left = time.monotonic()
            if not part.is_right:
                wrong.append(f"{nbytes} bytes on rank {comm.rank}, the {late}th time")
            if pattern == "barrier" and left < comm.allreduce(entered, MPI.MAX):
                wrong.append(f"rank {comm.rank} left before rank {late} came")
    return wrong


if __name__ == "__main__":
    main()
