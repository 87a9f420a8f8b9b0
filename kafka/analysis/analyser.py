"""One step in, one result out: chooses the field of a run and knows its units."""

import math

from lockstream.bridge.messages import Field, RunStarted
from lockstream.kafka.analysis.errors import FieldNotAnalysable
from lockstream.kafka.analysis.messages import MAX_TEXT, SpectrumResult
from lockstream.kafka.analysis.spectrum import Shells, radial_shells, radial_spectrum
from lockstream.kafka.events import Step


class Analyser:
    """Analyses the steps of one attempt.

    Parameters
    ----------
    started
        The attempt.
    field
        Name of the field to analyse; empty means the first two-dimensional one, or else the first.
    worker
        Who signs the results.

    Raises
    ------
    FieldNotAnalysable
        If the run has no such field, or its axes have no common wavenumber.
    """

    def __init__(self, started: RunStarted, field: str, worker: str) -> None:
        self.field = _choose_field(started, field)
        self._length_units = _length_units(started.run, self.field)
        _check_texts(started, self.field)
        self._started, self._worker = started, worker
        try:
            self._shells()
        except ValueError as error:
            raise FieldNotAnalysable(f"run {started.run!r}, field {self.field.name!r}: {error}") from None

    def analyse(self, step: Step) -> SpectrumResult:
        """Compute what is to be known of one step."""
        shells = self._shells()
        spectrum = radial_spectrum(step.array(self.field.name), shells)
        has_scale = spectrum is not None and math.isfinite(spectrum.pattern_scale)
        return SpectrumResult(
            run=self._started.run,
            attempt=self._started.attempt,
            after_step=self._started.after_step,
            step=step.manifest.step,
            time=step.manifest.time,
            time_units=self._started.time_units,
            field=self.field.name,
            field_units=self.field.units,
            length_units=self._length_units,
            wavenumbers=tuple(shells.wavenumbers.tolist()),
            modes=tuple(shells.modes.tolist()),
            power=tuple(spectrum.power.tolist()) if spectrum else None,
            pattern_scale=spectrum.pattern_scale if spectrum and has_scale else None,
            worker=self._worker,
        )

    def _shells(self) -> Shells:
        """Those that are kept, as a worker may follow many runs, and most of them have ended."""
        return radial_shells(self.field.shape, tuple(axis.spacing for axis in self.field.axes))


def _choose_field(started: RunStarted, name: str) -> Field:
    if not name:
        flat = (field for field in started.fields if len(field.shape) == 2)
        return next(flat, started.fields[0])
    if (field := started.field(name)) is None:
        known = ", ".join(field.name for field in started.fields)
        raise FieldNotAnalysable(
            f"run {started.run!r} has no field {name!r}, only {known}; name one of them with --field"
        )
    return field


def _length_units(run: str, field: Field) -> str:
    units = {axis.units for axis in field.axes}
    if len(units) > 1:
        raise FieldNotAnalysable(
            f"run {run!r}: the axes of field {field.name!r} are in {', '.join(sorted(units))}: without one unit "
            "they have no common wavenumber; publish them in one, or name another field with --field"
        )
    return units.pop()


def _check_texts(started: RunStarted, field: Field) -> None:
    for text in (field.units, started.time_units, *(axis.units for axis in field.axes)):
        if len(text) > MAX_TEXT:
            raise FieldNotAnalysable(
                f"run {started.run!r}: units {text[:40]!r}… of field {field.name!r} have {len(text)} characters, "
                f"at most {MAX_TEXT} are possible; publish it with shorter ones"
            )
