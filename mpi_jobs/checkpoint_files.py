"""A checkpoint on disk: one HDF5 file per rank, and ``checkpoint.json``, which says what they are.

A checkpoint is a folder ``step-<n>``. It is written under another name and gets its own when everything in it is
on the disk; what has that name is never changed.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import google_crc32c
import h5py
import msgspec
import numpy as np

from lockstream.bridge.errors import ConfigurationError
from lockstream.bridge.wire import crc32c
from lockstream.mpi_jobs.decomposition import Array, Rectangle
from lockstream.mpi_jobs.errors import CheckpointDamaged

ABOUT, ATTEMPTS = "checkpoint.json", "attempts"
FORMAT = 2  # 1 had no checksum of its own
MAX_ABOUT_BYTES = 64 << 20
_NAME = re.compile(r"step-(\d{1,18})")

Count = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What one rank wrote.

    Parameters
    ----------
    file
        Name of its file.
    offset, shape
        Which rectangle of the domain, (y, x).
    crc32c
        Checksum of the elements, by field.
    """

    file: Annotated[str, msgspec.Meta(pattern=r"^rank-\d{1,9}\.h5$")]
    offset: tuple[Count, Count]
    shape: tuple[Count, Count]
    crc32c: dict[str, int]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """``checkpoint.json``.

    Parameters
    ----------
    format
        Version of this form.
    run, attempt, step, time
        Whose state it is, and when.
    published
        The last step that the bridge had accepted, -1 if none; the next attempt's steps supersede what lies
        beyond.
    steps
        How many steps all attempts together have published up to there.
    given, effective
        The configuration as it was given, and as it was in effect after steering, both without secrets.
    pieces
        What the ranks wrote.
    crc32c
        Checksum of all the rest, see `account_checksum`; `seal` puts it in.
    """

    format: int = FORMAT
    run: str
    attempt: Count
    step: Count
    time: float
    published: Annotated[int, msgspec.Meta(ge=-1, lt=10**18)]
    steps: Count
    given: dict[str, Any]
    effective: dict[str, Any]
    pieces: tuple[Piece, ...]
    crc32c: str = ""


def checkpoint_folder(run_folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step lies."""
    return run_folder / f"step-{step}"


def steps_in(run_folder: Path) -> list[int]:
    """Return the steps of which there are checkpoints, the newest first."""
    if not run_folder.is_dir():
        return []
    names = (_NAME.fullmatch(path.name) for path in run_folder.iterdir())
    return sorted((int(name[1]) for name in names if name), reverse=True)


def write_piece(folder: Path, rank: int, block: Rectangle, fields: Mapping[str, Array]) -> Piece:
    """Write what a rank owns, to the disk.

    Parameters
    ----------
    folder
        The unfinished checkpoint.
    rank
        Of the writer.
    block
        Its rectangle.
    fields
        Its part of every field, of ``block.shape``; any strides.
    """
    name = f"rank-{rank}.h5"
    checksums = {}
    with h5py.File(folder / name, "w") as file:
        for field, values in fields.items():
            elements = np.ascontiguousarray(values)
            checksums[field] = _crc32c(elements)
            file.create_dataset(field, data=elements)
    _sync(folder / name)
    return Piece(file=name, offset=block.offset, shape=block.shape, crc32c=checksums)


def seal(unfinished: Path, final: Path, about: About) -> None:
    """Write ``checkpoint.json`` and give the checkpoint its name."""
    path = unfinished / ABOUT
    summed = msgspec.structs.replace(about, crc32c=account_checksum(msgspec.json.encode(about)))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summed)) + b"\n")
    _sync(path)
    _sync(unfinished)
    replaced = final.with_name(f".replaced-{final.name}")
    if final.exists():  # of an attempt that this one supersedes, or of this very step
        shutil.rmtree(replaced, ignore_errors=True)
        final.rename(replaced)
    unfinished.rename(final)
    _sync(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def tidy(run_folder: Path) -> None:
    """Bring back what a kill between the two renames of `seal` hid, and remove what was never finished."""
    for replaced in run_folder.glob(".replaced-step-*"):
        final = run_folder / replaced.name.removeprefix(".replaced-")
        with suppress(OSError):
            if not final.exists():
                replaced.rename(final)
        shutil.rmtree(replaced, ignore_errors=True)
    for unfinished in run_folder.glob(".step-*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def account_checksum(account: bytes) -> str:
    """Return the checksum of what ``checkpoint.json`` says, however it is spaced and ordered, without ``crc32c``."""
    said: dict[str, Any] = msgspec.json.decode(account)
    said.pop("crc32c", None)
    return crc32c(msgspec.json.encode(said, order="sorted"))


def keep_newest(run_folder: Path, keep: int, newest: int) -> None:
    """Remove all but so many checkpoints; one beyond the newest is of an attempt that was superseded."""
    steps = steps_in(run_folder)
    behind = [step for step in steps if step <= newest]
    for step in (*(step for step in steps if step > newest), *behind[keep:]):
        shutil.rmtree(checkpoint_folder(run_folder, step), ignore_errors=True)


def read_about(folder: Path) -> About:
    """Read ``checkpoint.json``.

    Raises
    ------
    CheckpointDamaged
        If it cannot be read, or contradicts itself.
    """
    path = folder / ABOUT
    try:
        if path.stat().st_size > MAX_ABOUT_BYTES:
            raise CheckpointDamaged(folder, f"{ABOUT} is larger than {MAX_ABOUT_BYTES} bytes")
        account = path.read_bytes()
        about = msgspec.json.decode(account, type=About)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CheckpointDamaged(folder, f"{ABOUT} cannot be read: {error}") from None
    if about.format != FORMAT:
        raise CheckpointDamaged(folder, f"it has format {about.format}, this program reads {FORMAT}")
    if about.crc32c != account_checksum(account):
        raise CheckpointDamaged(folder, f"{ABOUT} is not what was written, its checksum differs")
    if folder.name != f"step-{about.step}":
        raise CheckpointDamaged(folder, f"it is that of step {about.step}")
    return about


def check_piece(folder: Path, piece: Piece) -> None:
    """Read what a rank wrote and compare it with its checksums.

    Raises
    ------
    CheckpointDamaged
        If it is not what was written.
    """
    for field in piece.crc32c:
        read_part(folder, piece, field, Rectangle(piece.offset, piece.shape))


def read_part(folder: Path, piece: Piece, field: str, wanted: Rectangle) -> tuple[Rectangle, Array] | None:
    """Read the part of a field that a rank wrote and that lies in a rectangle.

    Parameters
    ----------
    folder, piece
        The checkpoint, and what the rank wrote.
    field
        Name of the field.
    wanted
        What to look for.

    Returns
    -------
    tuple, or None
        Where it lies, and its elements; None if the two do not meet. A piece that is read as a whole is checked.

    Raises
    ------
    CheckpointDamaged
        If it is not what was written.
    """
    common = intersection(Rectangle(piece.offset, piece.shape), wanted)
    if common is None:
        return None
    path = folder / piece.file
    rows, columns = (
        slice(o - begin, o - begin + n)
        for o, begin, n in zip(common.offset, piece.offset, common.shape, strict=True)
    )
    try:
        with h5py.File(path, "r") as file:
            dataset = file[field]
            if dataset.shape != piece.shape:
                raise CheckpointDamaged(folder, f"{path.name}: {field} has shape {dataset.shape}")
            elements = dataset[rows, columns]
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointDamaged(folder, f"{path.name} cannot be read: {error}") from None
    if common.shape == piece.shape and _crc32c(elements) != piece.crc32c[field]:
        raise CheckpointDamaged(folder, f"{path.name}: {field} is not what was written, its checksum differs")
    return common, elements


def intersection(a: Rectangle, b: Rectangle) -> Rectangle | None:
    """Return what two rectangles have in common, None if that is nothing."""
    begins = [max(x, y) for x, y in zip(a.offset, b.offset, strict=True)]
    ends = [min(x + n, y + m) for x, n, y, m in zip(a.offset, a.shape, b.offset, b.shape, strict=True)]
    (y0, x0), (y1, x1) = begins, ends
    return Rectangle((y0, x0), (y1 - y0, x1 - x0)) if y0 < y1 and x0 < x1 else None


def next_attempt(run_folder: Path, least: int) -> int:
    """Return the number of the attempt that begins now, at least `least`, and remember it: it is never given twice.

    A number is claimed by a file that only one process can make, so that two starts at a time get two numbers. A
    claim whose process died needs no care: its number is used up.

    Raises
    ------
    ConfigurationError
        If what was remembered is not a number.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    path = run_folder / ATTEMPTS
    number = max(least, attempts_made(run_folder))
    while not _claim(run_folder, number):
        number += 1
    unfinished = run_folder / f".{ATTEMPTS}-{number}"
    unfinished.write_text(f"{number + 1}\n")
    _sync(unfinished)
    unfinished.replace(path)
    _sync(run_folder)
    return number


def _claim(run_folder: Path, number: int) -> bool:
    try:
        os.close(os.open(run_folder / f"attempt-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def attempts_made(run_folder: Path) -> int:
    """Return how many attempts have begun."""
    path = run_folder / ATTEMPTS
    try:
        return int(path.read_text()) if path.exists() else 0
    except ValueError:
        problem = f"{path} should hold the number of attempts and nothing else; correct it"
        raise ConfigurationError("checkpoint.folder", str(run_folder.parent), problem) from None


def unfinished_folder(run_folder: Path, step: int) -> Path:
    """Make the folder in which a checkpoint is written, empty."""
    path = run_folder / f".step-{step}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def covers(pieces: Sequence[Piece], shape: tuple[int, int]) -> bool:
    """Whether the pieces make up the domain, by their number of elements."""
    inside = all(o + n <= whole for p in pieces for o, n, whole in zip(p.offset, p.shape, shape, strict=True))
    return inside and sum(p.shape[0] * p.shape[1] for p in pieces) == shape[0] * shape[1]


def _crc32c(elements: Array) -> int:
    return int(google_crc32c.value(elements.reshape(-1).view(np.uint8)))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
