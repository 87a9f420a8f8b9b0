"""A sender whose receiver comes late measures how long each send takes.

Asked: sizes (bytes, one message of each), late (s that the receiver is away before each). Answers: seconds (of each
send).
"""

import time

import numpy as np

from lockstream.contrast.rig import asked, reply, world


def main() -> None:
    """Rank 0 sends, rank 1 comes late."""
    task = asked()
    with world() as comm:
        seconds = []
        for nbytes in task["sizes"]:
            message = np.zeros(nbytes, dtype=np.uint8)
            comm.Barrier()
            if comm.rank == 0:
                began = time.monotonic()
                comm.Send(message, dest=1)
                seconds.append(time.monotonic() - began)
            else:
                time.sleep(task["late"])
                comm.Recv(message, source=0)
        if comm.rank == 0:
            reply({"seconds": seconds})


if __name__ == "__main__":
    main()
