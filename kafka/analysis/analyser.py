"""One step in, one result out: chooses the field of a run and knows its units."""

import math

from lockstream.bridge.messages import Field, RunStarted
from lockstream.kafka.analysis.errors import FieldNotAnalysable
from lockstream.kafka.analysis.messages import SpectrumResult
from lockstream.kafka.analysis.spectrum import radial_shells, radial_spectrum
from lockstream.kafka.assembler import Step


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
        If the run has no such field, or the units of its axes differ.
    """

    def __init__(self, started: RunStarted, field: str, worker: str) -> None:
        self.field = _choose_field(started, field)
        self._length_units = _length_units(started.run, self.field)
        self._started, self._worker = started, worker
        self._shells = radial_shells(self.field.shape, [axis.spacing for axis in self.field.axes])
        self._wavenumbers: tuple[float, ...] = tuple(self._shells.wavenumbers.tolist())
        self._modes: tuple[int, ...] = tuple(self._shells.modes.tolist())

    def analyse(self, step: Step) -> SpectrumResult:
        """Compute what is to be known of one step."""
        spectrum = radial_spectrum(step.array(self.field.name), self._shells)
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
            wavenumbers=self._wavenumbers,
            modes=self._modes,
            power=tuple(spectrum.power.tolist()) if spectrum else None,
            pattern_scale=spectrum.pattern_scale if spectrum and has_scale else None,
            worker=self._worker,
        )


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
