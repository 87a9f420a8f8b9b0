"""A job that joins another one that is already running.

Asked: port (a file with the name of the place to meet), guest (a file that says that this one is there), last
(number). Answers: world (ranks that this job was started with), numbers (that it received).
"""

from pathlib import Path

import numpy as np

from lockstream.contrast.rig import asked, reply, world


def main() -> None:
    """Join, and receive what is still to come."""
    task = asked()
    with world(has_company=True) as comm:
        place = Path(task["port"]).read_text(encoding="utf-8")
        Path(task["guest"]).touch()
        between = comm.Connect(place)
        everybody = between.Merge(high=True)
        number = np.full(1, -1, dtype=np.int64)
        numbers = []
        while number[0] != task["last"]:
            everybody.Bcast(number, root=0)
            numbers.append(int(number[0]))
        everybody.Disconnect()
        between.Disconnect()
        reply({"world": comm.size, "numbers": numbers})


if __name__ == "__main__":
    main()
