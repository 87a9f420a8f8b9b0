"""``ARCHIVE/<run_id>/analysis.h5``: what the results topic says about a run, as a file that xarray opens.

The file is a pure function of the results topic. Any worker may write it, any number of times; a lock makes
sure that the one who writes last has also read last.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from confluent_kafka import Consumer

from lockstream.bridge.errors import LockstreamError
from lockstream.kafka.analysis.messages import SpectrumResult
from lockstream.kafka.analysis.results import ResultsTopic, read_results
from lockstream.kafka.archive.layout import replace
from lockstream.kafka.archive.variables import FLOAT, INTEGER, attach_scales, create_steps
from lockstream.kafka.errors import ArchiveUnwritable

ANALYSIS_FILE = "analysis.h5"
LOCK_FILE = ".lock-analysis"

Array = np.ndarray[Any, Any]


def keep_run(
    consumer: Consumer, topic: ResultsTopic, archive: Path, run: str, field: str, since: int
) -> Path | None:
    """Write a run's file from what the results topic holds now.

    Parameters
    ----------
    consumer, topic, run, since
        See `read_results`.
    archive
        The archive folder.
    field
        The field whose results are kept.

    Returns
    -------
    Path or None
        The file; None if there is no result yet.

    Raises
    ------
    ArchiveUnwritable
        If the file cannot be written.
    LogUnavailable
        If Kafka does not answer.
    """
    folder = archive / run
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            return write_analysis(folder, RunResults(read_results(consumer, topic, run, since), field))
    except OSError as error:
        if isinstance(error, LockstreamError):
            raise
        raise ArchiveUnwritable(
            f"{folder / ANALYSIS_FILE}: cannot be written ({error}); the results are still in Kafka: make room "
            "and start the same command again"
        ) from None


class Row(NamedTuple):
    """What is kept of one step."""

    attempt: int
    time: float
    pattern_scale: float
    wavenumbers: tuple[float, ...]
    power: Array | None


class RunResults:
    """The results of one field of a run: every step once, the newest attempt's.

    Parameters
    ----------
    results
        In the order of the log; of two results of one attempt and step the later one counts.
    field
        Results of other fields are passed over.
    """

    def __init__(self, results: Iterable[SpectrumResult], field: str) -> None:
        self.newest: SpectrumResult | None = None
        self._rows: dict[int, Row] = {}
        self._branches: dict[int, int] = {}  # after_step by attempt
        shared: dict[tuple[float, ...], tuple[float, ...]] = {}  # one copy, however many steps
        for result in results:
            if result.field == field:
                self._add(result, shared.setdefault(result.wavenumbers, result.wavenumbers))

    @property
    def rows(self) -> dict[int, Row]:
        """By step, in ascending order."""
        return {step: row for step, row in sorted(self._rows.items()) if not self._is_superseded(step, row)}

    def _add(self, result: SpectrumResult, wavenumbers: tuple[float, ...]) -> None:
        self._branches[result.attempt] = result.after_step
        if self.newest is None or result.attempt >= self.newest.attempt:
            self.newest = result
        older = self._rows.get(result.step)
        if older is None or result.attempt >= older.attempt:
            power = None if result.power is None else np.asarray(result.power, FLOAT)
            scale = np.nan if result.pattern_scale is None else result.pattern_scale
            self._rows[result.step] = Row(result.attempt, result.time, scale, wavenumbers, power)

    def _is_superseded(self, step: int, row: Row) -> bool:
        return any(attempt > row.attempt and step > after for attempt, after in self._branches.items())


def write_analysis(run_folder: Path, results: RunResults) -> Path | None:
    """Write the file, atomically, if there is something to write.

    Returns
    -------
    Path or None
        The file; None if there is no result yet.
    """
    if results.newest is None:
        return None
    path = run_folder / ANALYSIS_FILE
    temporary = path.with_suffix(".h5.tmp")
    with h5py.File(temporary, "w") as file:
        _fill(file, results.newest, results.rows)
    replace(temporary, path)
    return path


@contextmanager
def _lock(run_folder: Path) -> Iterator[None]:
    """Wait for the right to write the run's analysis file; the kernel takes it back from the dead."""
    descriptor = os.open(run_folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)  # NFS servers honour record locks across nodes
        yield
    finally:
        os.close(descriptor)


def _fill(file: h5py.File, newest: SpectrumResult, rows: dict[int, Row]) -> None:
    file.attrs["Conventions"] = "CF-1.11"
    file.attrs["title"] = f"Power spectrum of {newest.field} in run {newest.run}"
    file.attrs["run"] = newest.run
    file.attrs["field"] = newest.field
    length, values = newest.length_units, newest.field_units
    create_steps(file, list(rows))
    _create(file, "time", [row.time for row in rows.values()], ("step",), newest.time_units, "physical time")
    name = "angular wavenumber, mean over the modes of a shell"
    wavenumber = _create(file, "wavenumber", newest.wavenumbers, (), _power_of(length, -1), name)
    wavenumber.make_scale("wavenumber")
    modes = np.asarray(newest.modes, INTEGER)
    _create(file, "modes", modes, ("wavenumber",), "1", "number of Fourier modes in a shell")
    name = f"radially averaged power of {newest.field}; times modes it sums up to the variance"
    spectrum = _spectrum(newest, rows)
    _create(file, "spectrum", spectrum, ("step", "wavenumber"), _power_of(values, 2), name)
    name = f"pattern scale of {newest.field}: 2 pi over the mean wavenumber of its spectrum"
    _create(file, "pattern_scale", [row.pattern_scale for row in rows.values()], ("step",), length, name)
    for variable in ("spectrum", "pattern_scale"):
        file[variable].attrs["coordinates"] = "time"


def _spectrum(newest: SpectrumResult, rows: dict[int, Row]) -> Array:
    """Stack the power of all steps, (steps, shells); NaN where it is unknown or has other shells."""
    spectrum = np.full((len(rows), len(newest.wavenumbers)), np.nan)
    for line, row in zip(spectrum, rows.values(), strict=True):
        if row.power is not None and row.wavenumbers == newest.wavenumbers:
            line[:] = row.power
    return spectrum


def _create(
    file: h5py.File, name: str, data: Any, scales: tuple[str, ...], units: str, long_name: str
) -> h5py.Dataset:
    values = data if isinstance(data, np.ndarray) else np.asarray(data, FLOAT)
    variable = file.create_dataset(name, data=values)
    variable.attrs["units"] = units
    variable.attrs["long_name"] = long_name
    attach_scales(variable, scales)
    return variable


def _power_of(units: str, exponent: int) -> str:
    """Return UDUNITS text for a power of `units`."""
    if units == "1":
        return "1"
    return f"{units}{exponent}" if units.isalpha() else f"({units}){exponent}"
