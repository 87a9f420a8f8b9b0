"""How bands on ranks learn their neighbours' edges: persistent requests, whose buffers are the rows themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstream.contrast.hybrid.workflow import Band

if TYPE_CHECKING:
    from mpi4py import MPI

_UP, _DOWN = 0, 1  # tags: with two ranks both neighbours are the same one


class HaloByRanks:
    """Exchanges the outermost rows of a band with the ranks before and after this one; a context manager.

    Parameters
    ----------
    comm
        The workers.
    band
        That of this rank.
    """

    def __init__(self, comm: MPI.Comm, band: Band) -> None:
        rows = band.padded
        above, below = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
        self._requests = [
            comm.Recv_init(rows[0], source=above, tag=_DOWN),
            comm.Recv_init(rows[-1], source=below, tag=_UP),
            comm.Send_init(rows[1], dest=above, tag=_UP),
            comm.Send_init(rows[-2], dest=below, tag=_DOWN),
        ]

    def exchange(self, _step: int) -> None:
        """Fill the first and the last row."""
        for request in self._requests:
            request.Start()
        for request in self._requests:
            request.Wait()

    def __enter__(self) -> HaloByRanks:
        return self

    def __exit__(self, *_: object) -> None:
        for request in self._requests:
            request.Free()
