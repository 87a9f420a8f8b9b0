from pathlib import Path

import pytest

from lockstream.bridge.errors import ConfigurationError
from lockstream.mpi_jobs.config import Configuration, decompose, read_configuration
from lockstream.mpi_jobs.initial import initial_state

EXAMPLES = Path(__file__).parents[3] / "examples"
GRAY_SCOTT = """
[run]
id = "gs"
model = "gray-scott"
steps = 10
[domain]
shape = [32, 48]
spacing = [0.01, 0.01]
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(GRAY_SCOTT)
    return path


def read(path: Path, *overrides: str, ranks: int = 1, environ: dict[str, str] | None = None) -> Configuration:
    return read_configuration(path, environ or {}, overrides, ranks)


@pytest.mark.parametrize("name", ["gray_scott.toml", "heat.toml"])
def test_the_examples_are_sound(name: str) -> None:
    assert read(EXAMPLES / name, ranks=4).run.steps > 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.stepz=5", r"run\.stepz = 5: unknown key; did you mean 'steps'"),
        ("strem.every=5", r"strem.*: unknown key; did you mean 'stream'"),
        ("model.patern=mu", r"model\.patern = 'mu': unknown key; did you mean 'pattern'"),
        ("run.steps=many", r"run\.steps = 'many': Expected `int`"),
        ("run.steps=0", r"run\.steps = 0: must be at least 1"),
        ("run.steps=-3", r"run\.steps = -3: must be at least 1"),
        ("run.seed=-1", r"run\.seed = -1: must not be negative"),
        ("run.id=My Run", r"run\.id = 'My Run': use 1 to 64"),
        ("run.model=gray-scot", r"run\.model = 'gray-scot': no such model.*'gray-scott'"),
        ("domain.shape=[0, 5]", r"domain\.shape = \[0, 5\]: both sizes"),
        ("domain.shape=[8]", r"domain\.shape = \[8\]: Expected `array` of length 2"),
        ("domain.shape=[4000000, 4000000]", r"domain\.shape.*GiB, this machine has"),
        ("domain.spacing=[0.0, 1.0]", r"domain\.spacing = \[0\.0, 1\.0\]: both must be positive"),
        ("domain.spacing=[nan, 1.0]", r"domain\.spacing = \[nan, 1\.0\]: both must be positive"),
        ("domain.dtype=float16", r"domain\.dtype = 'float16'"),
        ("domain.grid=[2, 2]", r"domain\.grid = \[2, 2\]: .* number of ranks, 1"),
        ("model.dt=1.5", r"model\.dt = 1\.5: is unstable .* largest stable one is 1\.22"),
        ("model.dt=-1.0", r"model\.dt = -1\.0"),
        ("model.dt=nan", r"model\.dt = nan: must be a finite number"),
        ("model.pattern=omega", r"model\.pattern = 'omega'"),
        ("stream.fields=['w']", r"stream\.fields = 'w': model 'gray-scott' has no such field; it has u, v"),
        ("stream.every=0", r"stream\.every = 0: must be at least 1"),
        ("initial.uu=a.npy", r"initial\.uu = .*unknown key; did you mean 'u'"),
    ],
)
def test_a_mistake_is_named_with_key_value_and_cure(toml: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(toml, override)


@pytest.mark.parametrize("name", ["heat", "gray-scott"])
def test_the_stable_step_that_the_error_names_is_accepted(toml: Path, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(toml, f"run.model={name}", "model.dt=100.0")
    largest = caught.value.problem.split()[-1]
    assert read(toml, f"run.model={name}", f"model.dt={largest}").model["dt"] == float(largest)


def test_a_domain_too_small_for_the_ranks_is_refused_with_a_number_that_will_do(toml: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[3, 5\]: cannot be shared by 7 ranks; start 6"):
        read(toml, "domain.shape=[3, 5]", ranks=7)
    assert decompose(read(toml, "domain.shape=[3, 5]", ranks=6), 6).grid in {(2, 3), (3, 2)}


def test_a_grid_may_be_asked_for_and_must_fit(toml: Path) -> None:
    assert decompose(read(toml, "domain.grid=[2, 2]", ranks=4), 4).grid == (2, 2)
    with pytest.raises(ConfigurationError, match="finer than"):
        read(toml, "domain.grid=[1, 64]", ranks=64)


def test_the_environment_counts_but_not_what_is_meant_for_other_commands(toml: Path) -> None:
    environ = {"LOCKSTREAM_RUN_STEPS": "7", "LOCKSTREAM_BROKER_DIR": "/x", "LOCKSTREAM_ARCHIVE_FOLDER": "/y"}
    assert read(toml, environ=environ).run.steps == 7
    assert read(toml, "run.steps=8", environ=environ).run.steps == 8
    with pytest.raises(ConfigurationError, match=r"run\.stepz"):
        read(toml, environ={"LOCKSTREAM_RUN_STEPZ": "7"})


def test_files_are_looked_for_beside_the_configuration(toml: Path) -> None:
    assert read(toml, "initial.u=state.npy").initial == {"u": str(toml.parent / "state.npy")}
    assert read(toml, "initial.u=/abs/state.npy").initial == {"u": "/abs/state.npy"}


def test_a_missing_file_is_named_when_the_initial_state_is_made(toml: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"initial\.u = .*state\.npy'.*cannot be read"):
        initial_state(read(toml, "initial.u=state.npy"))
