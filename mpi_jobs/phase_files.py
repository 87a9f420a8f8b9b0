"""The file that a rank's phases are in: an uncompressed npz of four arrays and a word about them, nothing pickled."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from lockstream.bridge.errors import UserError
from lockstream.mpi_jobs.clocks import ClockReading
from lockstream.mpi_jobs.decomposition import Array

FORMAT = 1
MAX_PHASES = 255
MAX_BYTES = 1 << 30
_ABOUT = "about"
_HEADER_BYTES = 128  # of an npy file with a list of numbers
_DTYPES = {"begin": "<i8", "end": "<i8", "step": "<i8", "phase": "|u1"}

Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 61)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPhases:
    """What one rank was doing, by its own clock, in nanoseconds.

    Parameters
    ----------
    rank, ranks
        Who, of how many.
    host
        On which machine.
    mark
        The same on all ranks of a run.
    names
        Of the phases.
    totals
        Time in each of them, of all intervals, those that were lost included.
    lost
        How many intervals did not fit in the memory; they are the last ones.
    until
        When the last phase ended, of those that were lost too.
    clocks
        How this rank's clock stood to rank 0's, at the beginning and, after a good end, at the end.
    begin, end, step, phase
        The intervals in their order, of shape (n,): when, at which time step, and the number of the phase's name.
        They do not overlap.
    """

    rank: int
    ranks: int
    host: str
    mark: str
    names: tuple[str, ...]
    totals: tuple[int, ...]
    lost: int
    until: int
    clocks: tuple[ClockReading, ...]
    begin: Array
    end: Array
    step: Array
    phase: Array


class PhasesUnreadable(UserError):
    """There are no phases at that place, or not as they were written."""


class _About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    rank: Count
    ranks: Count
    host: Annotated[str, msgspec.Meta(max_length=255)]
    mark: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    names: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_PHASES)]
    totals: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MAX_PHASES)]
    lost: Count
    until: Count
    clocks: Annotated[tuple[ClockReading, ...], msgspec.Meta(min_length=1, max_length=2)]


def phase_file(folder: Path, rank: int) -> Path:
    """Return which file of a folder is a rank's."""
    return folder / f"rank-{rank:05d}.npz"


def write_phases(path: Path, phases: RankPhases) -> None:
    """Write what a rank measured.

    Raises
    ------
    OSError
        If that is not possible.
    """
    known = {name: getattr(phases, name) for name in _About.__struct_fields__ if name != "format"}
    about = np.frombuffer(msgspec.json.encode(_About(format=FORMAT, **known)), np.uint8)
    arrays = {name: getattr(phases, name).astype(dtype, copy=False) for name, dtype in _DTYPES.items()}
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **{_ABOUT: about}, **arrays)
    unfinished.replace(path)


def read_phases(path: Path) -> RankPhases:
    """Read what `write_phases` wrote, and believe nothing of it.

    Raises
    ------
    PhasesUnreadable
        If it is not that.
    """
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise PhasesUnreadable(f"{path}: these are no phases of a rank ({error})") from None


def _read(path: Path) -> RankPhases:
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes are more than {MAX_BYTES}")
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if sorted(members) != sorted(f"{name}.npy" for name in (_ABOUT, *_DTYPES)):
            raise ValueError(f"it holds {', '.join(members) or 'nothing'}")
        # Stored as they are, members are not larger than the file: nothing blows up in memory.
        if any(member.compress_type or member.file_size > size for member in members.values()):
            raise ValueError("it is compressed")
        about = msgspec.json.decode(_array(archive, _ABOUT, "|u1").tobytes(), type=_About)
        arrays = {name: _array(archive, name, dtype) for name, dtype in _DTYPES.items()}
    if about.format != FORMAT:
        raise ValueError(f"format {about.format}, this version reads {FORMAT}")
    known = {name: getattr(about, name) for name in _About.__struct_fields__ if name != "format"}
    phases = RankPhases(**known, **arrays)
    if problem := _problem(phases):
        raise ValueError(problem)
    return phases


def _array(archive: zipfile.ZipFile, name: str, dtype: str) -> Any:
    """One member. Its header is not parsed: there is only one that is right for so many bytes."""
    data = archive.read(f"{name}.npy")
    count = max(len(data) - _HEADER_BYTES, 0) // np.dtype(dtype).itemsize
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": (count,)})
    whole = _HEADER_BYTES + count * np.dtype(dtype).itemsize
    if not data.startswith(header.getvalue()) or len(data) != whole:
        raise ValueError(f"{name} is not one array of {dtype}")
    return np.frombuffer(data, dtype, offset=_HEADER_BYTES)


def _problem(phases: RankPhases) -> str:
    """What cannot be true of a rank's phases; empty if all is well."""
    begin, end = phases.begin, phases.end
    if not phases.rank < phases.ranks:
        return f"rank {phases.rank} of {phases.ranks}"
    if len(phases.names) != len(phases.totals) or len(set(phases.names)) != len(phases.names):
        return "names and totals do not go together"
    if len({len(begin), len(end), len(phases.step), len(phases.phase)}) != 1:
        return "its arrays differ in length"
    if (phases.phase >= len(phases.names)).any():
        return "an interval's phase has no name"
    if (end < begin).any() or (begin[1:] < end[:-1]).any():
        return "its intervals overlap"
    if len(end) and phases.until < end[-1]:
        return "it ends before its last interval"
    sums = np.zeros(len(phases.names), np.int64)
    np.add.at(sums, phases.phase, end - begin)
    totals = np.array(phases.totals, np.int64)
    if (totals < sums).any() or (not phases.lost and (totals != sums).any()):
        return "its totals are not the sums of its intervals"
    return ""
