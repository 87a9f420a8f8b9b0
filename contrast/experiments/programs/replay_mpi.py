"""A rank that has received messages asks for one of them again.

Asked: messages, nbytes, again (number), patience (s). Answers: received, received_again (messages).
"""

import time

import numpy as np

from lockstream.contrast.rig import asked, reply, world


def main() -> None:
    """Rank 0 answers; rank 1 sends. A message's tag is its number."""
    task = asked()
    with world() as comm:
        message = np.zeros(task["nbytes"], dtype=np.uint8)
        for number in range(task["messages"]):
            if comm.rank == 0:
                comm.Recv(message, source=1, tag=number)
            else:
                comm.Send(message, dest=0, tag=number)
        if comm.rank == 0:
            request = comm.Irecv(message, source=1, tag=task["again"])
            limit = time.monotonic() + task["patience"]
            while not (came := request.Test()) and time.monotonic() < limit:
                time.sleep(0.01)
            if not came:
                request.Cancel()
                request.Wait()
            reply({"received": task["messages"], "received_again": int(came)})
        comm.Barrier()


if __name__ == "__main__":
    main()
