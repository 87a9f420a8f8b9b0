import numpy as np
import pytest
from support.runs import FakeRun

from lockstream.bridge.messages import Axis, Field
from lockstream.kafka.analysis.analyser import Analyser
from lockstream.kafka.analysis.errors import FieldNotAnalysable
from lockstream.kafka.analysis.spectrum import radial_shells, radial_spectrum
from lockstream.kafka.assembler import StepAssembler
from lockstream.kafka.events import Step

METRES = (Axis("y", spacing=0.5, units="m"), Axis("x", spacing=0.25, units="m"))
LINE = Field("line", (7,), "i4", axes=(Axis("cell"),))
PLANE = Field("plane", (6, 8), "i2", units="K", axes=METRES)
OTHER = Field("other", (6, 8), "i2", axes=METRES)


def one_step(run: FakeRun, number: int = 3) -> Step:
    assembler = StepAssembler(run.run)
    events = [e for o, (h, v) in enumerate(run.logs([number])[0]) for e in assembler.feed(o, h, v)]
    return next(event for event in events if isinstance(event, Step))


@pytest.mark.parametrize(
    ("fields", "asked", "chosen"),
    [
        ((LINE, PLANE, OTHER), "", "plane"),
        ((LINE, PLANE, OTHER), "other", "other"),
        ((LINE, PLANE), "line", "line"),
        ((LINE,), "", "line"),
    ],
)
def test_the_field_is_the_named_one_or_the_first_plane(fields, asked, chosen):
    run = FakeRun(fields=fields)
    analyser = Analyser(run.started, asked, "w")
    assert analyser.field.name == chosen
    assert analyser.analyse(one_step(run)).field == chosen


def test_a_result_says_which_step_and_in_which_units():
    run = FakeRun(fields=(PLANE,), attempt=2, after_step=1)
    result = Analyser(run.started, "", "worker-1").analyse(one_step(run))
    assert (result.run, result.attempt, result.after_step, result.step) == ("fake", 2, 1, 3)
    assert (result.time, result.time_units, result.worker) == (1.0, "s", "worker-1")
    assert (result.field_units, result.length_units) == ("K", "m")
    shells = radial_shells((6, 8), (0.5, 0.25))
    expected = radial_spectrum(run.array("plane", 3), shells)
    assert result.power == tuple(expected.power)
    assert result.wavenumbers == tuple(shells.wavenumbers)
    assert result.pattern_scale == expected.pattern_scale


def test_a_field_with_nan_has_a_result_without_power():
    run = FakeRun(fields=(Field("u", (6, 5), "f4"),))  # every such array has a NaN
    assert np.isnan(run.array("u", 3)).any()
    result = Analyser(run.started, "", "w").analyse(one_step(run))
    assert result.power is None
    assert result.pattern_scale is None


@pytest.mark.parametrize(
    ("field", "asked", "said"),
    [
        (PLANE, "plan", "has no field 'plan', only plane"),
        (Field("p", (4, 4), axes=(Axis("y", units="m"), Axis("x", units="km"))), "", "are in km, m"),
        (Field("p", (4, 4), axes=(Axis("y"), Axis("x", spacing=1e-300))), "", "too large or too small"),
        (Field("p", (4, 4), units="K" * 201), "", "have 201 characters"),
    ],
)
def test_what_cannot_be_analysed_is_named(field, asked, said):
    with pytest.raises(FieldNotAnalysable, match=said) as caught:
        Analyser(FakeRun(fields=(field,)).started, asked, "w")
    assert caught.value.exit_code == 2
