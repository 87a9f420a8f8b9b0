from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from lockstream.kafka.analysis.messages import SpectrumResult


@pytest.fixture
def make_result() -> Callable[..., SpectrumResult]:
    """A result with two shells; what is given is put in the place of what it has."""
    plain = SpectrumResult(
        run="r",
        attempt=0,
        after_step=-1,
        step=3,
        time=0.5,
        time_units="s",
        field="u",
        field_units="K",
        length_units="m",
        wavenumbers=(1.0, 2.5),
        modes=(4, 8),
        power=(0.25, 0.0),
        pattern_scale=6.25,
        worker="w",
    )

    def make(**changes: Any) -> SpectrumResult:
        return msgspec.structs.replace(plain, **changes)

    return make
