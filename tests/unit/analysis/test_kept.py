import h5py
import numpy as np
import pytest
import xarray

from lockstream.kafka.analysis.kept import ANALYSIS_FILE, RunResults, write_analysis


def steps_and_attempts(results):
    return {step: row.attempt for step, row in results.rows.items()}


def test_the_file_opens_in_xarray_with_coordinates_and_units(tmp_path, make_result):
    results = [make_result(step=s, time=s / 10, power=(s, 1.0), pattern_scale=s + 0.5) for s in (20, 0, 10)]
    assert write_analysis(tmp_path, RunResults(results, "u")) == tmp_path / ANALYSIS_FILE
    with xarray.open_dataset(tmp_path / ANALYSIS_FILE, engine="h5netcdf") as data:
        assert data.spectrum.dims == ("step", "wavenumber")
        assert data.pattern_scale.dims == ("step",)
        assert data.step.dtype == np.int64
        assert list(data.step) == [0, 10, 20]
        assert list(data.time) == [0.0, 1.0, 2.0]
        assert list(data.spectrum.sel(step=10)) == [10.0, 1.0]
        assert list(data.pattern_scale) == [0.5, 10.5, 20.5]
        assert list(data.wavenumber) == [1.0, 2.5]
        assert list(data.modes) == [4, 8]
        units = {name: data[name].attrs["units"] for name in ("spectrum", "pattern_scale", "wavenumber")}
        assert units == {"spectrum": "K2", "pattern_scale": "m", "wavenumber": "m-1"}
        assert all(data[name].attrs["long_name"] for name in data.variables)
        assert (data.attrs["run"], data.attrs["field"]) == ("r", "u")
        assert "time" in data.spectrum.coords


@pytest.mark.parametrize(
    ("units", "squared", "inverse"),
    [("1", "1", "1"), ("m", "m2", "m-1"), ("m s-1", "(m s-1)2", "(m s-1)-1"), ("m2", "(m2)2", "(m2)-1")],
)
def test_units_are_raised_to_powers(tmp_path, make_result, units, squared, inverse):
    result = make_result(field_units=units, length_units=units)
    write_analysis(tmp_path, RunResults([result], "u"))
    with h5py.File(tmp_path / ANALYSIS_FILE) as file:
        assert file["spectrum"].attrs["units"] == squared
        assert file["wavenumber"].attrs["units"] == inverse


def test_the_newest_attempt_counts_whatever_the_order(make_result):
    old = [make_result(step=s) for s in (1, 2, 3, 4)]
    new = [make_result(step=s, attempt=1, after_step=2) for s in (3,)]
    expected = {1: 0, 2: 0, 3: 1}  # step 4 of the old attempt went with it
    assert steps_and_attempts(RunResults(old + new, "u")) == expected
    assert steps_and_attempts(RunResults(new + old, "u")) == expected
    assert steps_and_attempts(RunResults(old + old, "u")) == dict.fromkeys((1, 2, 3, 4), 0)


def test_repeats_and_other_fields_change_nothing(tmp_path, make_result):
    results = [make_result(step=s) for s in range(5)]
    write_analysis(tmp_path, RunResults(results, "u"))
    once = (tmp_path / ANALYSIS_FILE).read_bytes()
    more = [*results[2:], make_result(step=9, field="v"), *results]
    write_analysis(tmp_path, RunResults(results + more, "u"))
    assert (tmp_path / ANALYSIS_FILE).read_bytes() == once
    assert [path.name for path in tmp_path.iterdir()] == [ANALYSIS_FILE]


def test_what_is_unknown_is_nan(tmp_path, make_result):
    results = [
        make_result(step=0, wavenumbers=(1.0,), modes=(2,), power=(7.0,)),  # an older attempt's other grid
        make_result(step=1, attempt=1, after_step=0),
        make_result(step=2, attempt=1, after_step=0, power=None, pattern_scale=None),
    ]
    write_analysis(tmp_path, RunResults(results, "u"))
    with h5py.File(tmp_path / ANALYSIS_FILE) as file:
        np.testing.assert_array_equal(file["spectrum"], [[np.nan] * 2, [0.25, 0.0], [np.nan] * 2])
        np.testing.assert_array_equal(file["pattern_scale"], [6.25, 6.25, np.nan])


def test_no_results_make_no_file(tmp_path, make_result):
    assert write_analysis(tmp_path, RunResults([make_result(field="v")], "u")) is None
    assert not list(tmp_path.iterdir())
