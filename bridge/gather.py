"""The blocks of all ranks, brought together in a frame: buffers only, nothing pickled.

A rank that shares rank 0's memory writes its blocks into their place in the frame and says so. Any other rank
packs them into buffers of its own and goes on computing while they travel; rank 0 receives each block straight
into its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lockstream.bridge.errors import UserError
from lockstream.bridge.messages import DTYPES, MAX_DIMENSIONS, Field

if TYPE_CHECKING:
    from mpi4py import MPI

Array = np.ndarray[Any, Any]
Frame = Mapping[str, Array]
_NOTHING = np.empty(0, np.uint8)  # a message without contents: "my blocks are in the frame"


class Block(NamedTuple):
    """The rectangle of a field that one rank owns.

    Parameters
    ----------
    data
        Its elements, e.g. shape (1024, 512); any strides, so the interior of a padded array will do.
        An empty array takes part without owning anything.
    offset
        Where it begins in the global field, in elements.
    """

    data: Array
    offset: tuple[int, ...]


class BlockMismatch(UserError, ValueError):
    """Blocks that do not make up the field, or changed since the first step."""


class FrameGatherer:
    """Collects one frame at a time on rank 0.

    Parameters
    ----------
    comm
        All ranks that own a part of the fields. It is duplicated, so that no message of ours can meet
        one of the simulation's.
    fields
        The global arrays; a frame has all of them.
    is_sharing
        Whether this rank can reach the frames itself; rank 0 always can.

    Notes
    -----
    Which rank owns which rectangle is learnt at the first frame and must not change afterwards.
    """

    def __init__(self, comm: MPI.Comm, fields: Sequence[Field], *, is_sharing: bool = False) -> None:
        self._comm = comm.Dup()
        self._fields = tuple(fields)
        self._is_sharing = is_sharing
        self._sharing: list[int] = []  # ranks, apart from rank 0; known there
        self._offsets: dict[str, tuple[int, ...]] = {}
        self._packed: dict[str, Array] = {}
        self._sending: list[MPI.Request] = []
        self._places: list[tuple[int, int, MPI.Datatype]] = []  # source rank, field number, where to

    def gather(self, blocks: Mapping[str, Block], frame: Frame | None) -> None:
        """Bring the blocks of one step together; collective.

        Parameters
        ----------
        blocks
            This rank's block of every field. They may be overwritten as soon as this returns.
        frame
            On rank 0 and where its memory is shared the arrays to fill, of the fields' global shapes; None
            elsewhere.

        Raises
        ------
        BlockMismatch
            On all ranks alike if the blocks of the first step overlap, leave holes or do not fit; on the
            rank concerned if a later block differs from the first one.
        """
        if not self._packed:
            self._agree_on_places(blocks)
        self._check_unchanged(blocks)
        if self._comm.rank == 0 and frame is not None:
            self._receive(blocks, frame)
        elif frame is not None:
            self._write(blocks, frame)
            _wait_all(self._sending)
            self._sending.append(self._comm.Isend(_NOTHING, dest=0, tag=len(self._fields)))
        else:
            self._send(blocks)

    def tell_all(self, number: int) -> int:
        """Return on all ranks what rank 0 says; collective."""
        said = np.array([number], np.int64)
        self._comm.Bcast(said)
        return int(said[0])

    def free(self) -> None:
        """Finish what is on its way and give the MPI objects back; collective."""
        _wait_all(self._sending)
        for _, _, place in self._places:
            place.Free()
        self._comm.Free()

    def _send(self, blocks: Mapping[str, Block]) -> None:
        _wait_all(self._sending)  # the buffers of the previous step are free again after this
        for number, field in enumerate(self._fields):
            buffer = self._packed[field.name]
            if buffer.size:
                np.copyto(buffer, blocks[field.name].data)
                self._sending.append(self._comm.Isend(buffer, dest=0, tag=number))

    def _receive(self, blocks: Mapping[str, Block], frame: Frame) -> None:
        arriving = [
            self._comm.Irecv([frame[self._fields[number].name], 1, place], source=source, tag=number)
            for source, number, place in self._places
        ]
        done = len(self._fields)
        arriving += [self._comm.Irecv(_NOTHING.copy(), source=source, tag=done) for source in self._sharing]
        self._write(blocks, frame)
        _wait_all(arriving)

    def _write(self, blocks: Mapping[str, Block], frame: Frame) -> None:
        for field in self._fields:
            block = blocks[field.name]
            frame[field.name][_region(block.offset, block.data.shape)] = block.data

    def _agree_on_places(self, blocks: Mapping[str, Block]) -> None:
        """Learn who owns what, check that it makes up the fields, and prepare the buffers."""
        mine = np.full((len(self._fields), 2, MAX_DIMENSIONS), -1, dtype=np.int64)
        problem = _stranger(blocks, self._fields)
        problem = problem or next(filter(None, (_misfit(f, blocks.get(f.name)) for f in self._fields)), "")
        if not problem:
            for number, field in enumerate(self._fields):
                block, rank = blocks[field.name], len(field.shape)
                mine[number, 0, :rank], mine[number, 1, :rank] = block.offset, block.data.shape
        everyone = np.empty((self._comm.size, *mine.shape), dtype=np.int64)
        self._comm.Allgather(mine, everyone)
        for number, field in enumerate(self._fields):
            regions = everyone[:, number, :, : len(field.shape)]
            problem = problem or _uncovered(field, regions)
        if problem := self._first_of(problem):
            raise BlockMismatch(problem)
        for field in self._fields:
            block = blocks[field.name]
            self._offsets[field.name] = tuple(block.offset)
            self._packed[field.name] = np.empty(block.data.shape, DTYPES[field.dtype])
        is_sharing = self._comm.allgather(self._is_sharing)
        if self._comm.rank == 0:
            self._sharing = [rank for rank in range(1, self._comm.size) if is_sharing[rank]]
            self._prepare_places(everyone)

    def _first_of(self, problem: str) -> str:
        """What the lowest rank with a problem says; the same on all ranks, and only once per stream."""
        return next(filter(None, self._comm.allgather(problem)), "")

    def _prepare_places(self, everyone: Array) -> None:
        from mpi4py.util import dtlib

        for number, field in enumerate(self._fields):
            element = dtlib.from_numpy_dtype(DTYPES[field.dtype])
            for source in set(range(1, self._comm.size)) - set(self._sharing):
                offset, extent = everyone[source, number, :, : len(field.shape)].tolist()
                if all(extent):
                    place = element.Create_subarray(field.shape, extent, offset)
                    self._places.append((source, number, place.Commit()))

    def _check_unchanged(self, blocks: Mapping[str, Block]) -> None:
        for name, buffer in self._packed.items():
            block = blocks.get(name)
            if (
                block is None
                or block.data.shape != buffer.shape
                or tuple(block.offset) != self._offsets[name]
            ):
                raise BlockMismatch(
                    f"field {name!r} on rank {self._comm.rank}: every step must bring the block of shape "
                    f"{buffer.shape} at {self._offsets[name]} that the first one did"
                )
            if block.data.dtype != buffer.dtype:
                raise BlockMismatch(
                    f"field {name!r}: the block is {block.data.dtype}, declared {buffer.dtype}"
                )


def _wait_all(requests: list[MPI.Request]) -> None:
    for request in requests:
        request.Wait()
    requests.clear()


def _region(offset: Sequence[int], extent: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(o, o + e) for o, e in zip(offset, extent, strict=True))


def _stranger(blocks: Mapping[str, Block], fields: Sequence[Field]) -> str:
    """What is wrong with names and kinds of what one rank brings; empty if nothing is."""
    names = [field.name for field in fields]
    for name, block in blocks.items():
        if name not in names:
            return f"field {name!r} was not declared; declared are {', '.join(names)}"
        if not isinstance(block, Block):
            return f"field {name!r}: give Block(array, offset), got a {type(block).__name__}"
    return ""


def _misfit(field: Field, block: Block | None) -> str:
    """What is wrong with one rank's block on its own; empty if nothing is."""
    if block is None:
        return f"field {field.name!r}: publish got no block of it on some rank"
    if block.data.dtype != DTYPES[field.dtype]:
        return f"field {field.name!r}: the block is {block.data.dtype}, the field was declared {field.dtype}"
    outside = f"field {field.name!r}: block {block.data.shape} at {block.offset} lies outside {field.shape}"
    if not len(block.offset) == block.data.ndim == len(field.shape):
        return outside
    places = zip(block.offset, block.data.shape, field.shape, strict=True)
    return "" if all(o >= 0 and o + e <= n for o, e, n in places) else outside


def _uncovered(field: Field, regions: Array) -> str:
    """What is wrong with all ranks' blocks together: (ranks, 2, dimensions) offsets and extents."""
    if (regions < 0).any():
        return ""  # that rank has said what is wrong with its block
    if int(np.prod(regions[:, 1], axis=1).sum()) != np.prod(field.shape):
        return (
            f"field {field.name!r}: the blocks of all ranks do not make up {field.shape}: holes or overlaps"
        )
    covered = np.zeros(field.shape, dtype=bool)
    for offset, extent in regions.tolist():
        covered[_region(offset, extent)] = True
    return "" if covered.all() else f"field {field.name!r}: the blocks of two ranks overlap"
