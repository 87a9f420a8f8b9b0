"""What analysis found, as it stands in the results topic: JSON with a schema version, keyed by run."""

import math
from typing import Annotated

import msgspec

from lockstream.bridge.errors import WireError
from lockstream.bridge.messages import (
    MAX_STEP,
    MAX_TILE_BYTES,
    SCHEMA_VERSION,
    Attempt,
    Count,
    CountOrNone,
    Text,
    check_version,
    is_run_id,
)
from lockstream.bridge.wire import Headers
from lockstream.kafka.analysis.spectrum import MAX_SHELLS

MAX_RESULT_BYTES = MAX_TILE_BYTES
MAX_TEXT = 200  # names and units are repeated in every result

ShortText = Annotated[Text, msgspec.Meta(max_length=MAX_TEXT)]
ModeCount = Annotated[int, msgspec.Meta(ge=1, lt=MAX_STEP)]


class SpectrumResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="spectrum"):
    """Spectrum and pattern scale of one field at one step.

    Parameters
    ----------
    v
        Schema version.
    run, attempt, step, time
        Which step, and its physical time.
    after_step
        Steps beyond this one supersede those of older attempts, as the attempt's ``run-started`` said.
    field, field_units, length_units, time_units
        Which field, the units of its values, of its axes and of the time.
    wavenumbers, modes
        Mean wavenumber of each shell, ascending, in radians per length unit, and how many modes it has.
    power
        Radially averaged power of each shell; null if the field is not finite everywhere.
    pattern_scale
        In length units; null if there is no pattern.
    worker
        Who found it.
    """

    v: str = SCHEMA_VERSION
    run: str
    attempt: Attempt
    after_step: CountOrNone
    step: Count
    time: float
    time_units: ShortText
    field: ShortText
    field_units: ShortText
    length_units: ShortText
    wavenumbers: tuple[float, ...]
    modes: tuple[ModeCount, ...]
    power: tuple[float, ...] | None
    pattern_scale: float | None
    worker: ShortText

    def __post_init__(self) -> None:
        if not is_run_id(self.run):
            raise ValueError(f"{self.run[:80]!r} is not a run id")
        if not math.isfinite(self.time):
            raise ValueError("time must be finite")
        self._check_shells()

    def _check_shells(self) -> None:
        shells = len(self.wavenumbers)
        powers = (0.0,) * shells if self.power is None else self.power
        if shells > MAX_SHELLS or len(self.modes) != shells or len(powers) != shells:
            raise ValueError(f"wavenumbers, modes and power must be alike in length, at most {MAX_SHELLS}")
        ascending = all(a < b for a, b in zip((0.0, *self.wavenumbers), self.wavenumbers, strict=False))
        if not (ascending and all(map(math.isfinite, self.wavenumbers))):
            raise ValueError("wavenumbers must be positive and ascend")
        if not all(math.isfinite(power) and power >= 0 for power in powers):
            raise ValueError("power must be finite and not negative")
        if self.pattern_scale is not None and not 0 < self.pattern_scale < math.inf:
            raise ValueError("pattern_scale must be positive and finite")


_JSON = msgspec.json.Decoder(SpectrumResult)


def encode_result(result: SpectrumResult) -> tuple[Headers, bytes]:
    """Turn a result into headers, which are for people, and the value, which says it all."""
    headers = [
        ("ls-v", result.v.encode()),
        ("ls-kind", b"spectrum"),
        ("run", result.run.encode()),
        ("attempt", str(result.attempt).encode()),
        ("step", str(result.step).encode()),
    ]
    return headers, msgspec.json.encode(result)


def decode_result(value: bytes | None) -> SpectrumResult:
    """Turn what Kafka delivered into a result.

    Raises
    ------
    WireError
        If it is not of this format, of a later major version, too large, or contradicts itself.
    """
    if value is None or len(value) > MAX_RESULT_BYTES:
        raise WireError(f"a result must have 1 to {MAX_RESULT_BYTES} bytes")
    try:
        result = _JSON.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a result: {error}") from None
    check_version(result.v)
    return result
