"""Two archives of the same run, compared bit for bit."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from lockstream.kafka.archive.account import GROUP, UNREADABLE
from lockstream.kafka.archive.layout import RUN_FILE
from lockstream.kafka.archive.recovery import open_sealed
from lockstream.kafka.errors import ArchiveDamaged


def differences(first: Path, second: Path) -> Iterator[str]:
    """Yield a sentence per difference between two runs' folders; none if they hold the same.

    Steps, every variable over them, and the coordinates are compared by their bytes, so that NaN equals
    the same NaN and 0.0 does not equal -0.0. How the runs are stored (segments, merged, compressed) and what
    is said about them in attributes does not matter.

    Raises
    ------
    ArchiveDamaged
        If a file cannot be read.
    """
    with open_sealed(first / RUN_FILE) as a, open_sealed(second / RUN_FILE) as b:
        try:
            yield from _compare(a, b)
        except UNREADABLE as error:
            raise ArchiveDamaged(f"{first} and {second} cannot be compared to their end: {error}") from None


def _compare(a: h5py.File, b: h5py.File) -> Iterator[str]:
    names = [{name for name in file if name != GROUP} for file in (a, b)]
    for name in sorted(names[0] ^ names[1]):
        yield f"{name}: only in {(a if name in names[0] else b).filename}"
    steps, others = (file["step"][()].tolist() if "step" in file else [] for file in (a, b))
    if steps != others:
        only = sorted(set(steps) ^ set(others))
        yield f"step: {len(steps)} steps against {len(others)}; in one of them only: {only[:10]}"
        return
    for name in sorted(names[0] & names[1]):
        if (a[name].shape, a[name].dtype) != (b[name].shape, b[name].dtype):
            yield f"{name}: {a[name].dtype}{a[name].shape} against {b[name].dtype}{b[name].shape}"
        elif len(a[name].shape) > 1:
            for row, step in enumerate(steps):
                if a[name][row].tobytes() != b[name][row].tobytes():
                    yield f"{name}: step {step} differs"
        elif a[name][()].tobytes() != b[name][()].tobytes():
            yield f"{name}: differs"
