"""What we write can be read without us: by HDF5's and Kafka's own tools, and by xarray."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.programs import LOCKSTREAM, mpirun, run

from lockstream.kafka.broker import BrokerInfo

EXAMPLES = Path(__file__).parents[2] / "examples"
RUN = "read-by-others"
OVERRIDES = (
    f"run.id={RUN}",
    "run.steps=40",
    "stream.every=20",
    "domain.shape=[40, 64]",
    "stream.tile_bytes=8192",
)
STEPS = (0, 20, 40)
TILES = 4  # of 10 x 64 float64 per step: the largest that divides 40 rows and fits 8 KiB is 10 rows


@dataclass(frozen=True)
class Published:
    """A run that has been published and archived."""

    servers: str
    file: Path


@pytest.fixture(scope="module")
def published(broker: BrokerInfo, tmp_path_factory: pytest.TempPathFactory) -> Published:
    archive = tmp_path_factory.mktemp("archive")
    env = {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
    overrides = [word for override in OVERRIDES for word in ("--set", override)]
    simulated = mpirun(2, LOCKSTREAM, "simulate", EXAMPLES / "heat.toml", *overrides, env=env)
    assert simulated.returncode == 0, simulated.stderr
    archived = run(LOCKSTREAM, "archive", "follow", "--run", RUN, "--archive", archive, env=env)
    assert archived.returncode == 0, archived.stderr
    return Published(broker.bootstrap_servers, archive / RUN / "run.h5")


def tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return found


def test_h5dump_reads_the_file(published: Published) -> None:
    dumped = run(tool("h5dump", "hdf5-tools"), "-H", published.file, timeout=30)
    assert dumped.returncode == 0, dumped.stderr
    assert "( 3, 40, 64 ) / ( H5S_UNLIMITED, 40, 64 )" in dumped.stdout
    for name in ("step", "time", "y", "x", "temperature", "temperature_max", "heat"):
        assert f'DATASET "{name}"' in dumped.stdout


def test_h5dump_reads_the_numbers(published: Published) -> None:
    dumped = run(tool("h5dump", "hdf5-tools"), "-d", "/step", "-y", published.file, timeout=30)
    assert dumped.returncode == 0, dumped.stderr
    assert ", ".join(map(str, STEPS)) in dumped.stdout


def test_kcat_lists_the_topic_with_legible_headers(published: Published) -> None:
    topic = f"lockstream.run.{RUN}"
    kcat = (tool("kcat", "kcat"), "-q", "-b", published.servers)
    listed = run(*kcat, "-t", topic, "-C", "-e", "-f", "%h %S\n", timeout=30)
    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    start, *steps, end = lines
    assert start.startswith(f"ls-v=1.1,ls-kind=run-started,run={RUN},attempt=0 ")
    assert end.startswith(f"ls-v=1.1,ls-kind=run-ended,run={RUN},attempt=0 ")
    assert len(steps) == len(STEPS) * (TILES + 1)
    second_tile = (
        f"ls-v=1.1,ls-kind=tile,run={RUN},attempt=0,step=0,field=temperature,dtype=f8,"
        "shape=40,64,offset=10,0,extent=10,64,codec=none,raw-size=5120,crc32c="
    )
    assert steps[1].startswith(second_tile)
    assert steps[1].endswith(" 5120")
    manifests = [line for line in steps if "ls-kind=manifest" in line]
    assert [line.split(",step=")[1].split()[0] for line in manifests] == [str(step) for step in STEPS]


@pytest.mark.parametrize("engine", ["h5netcdf"])
def test_xarray_shows_dimensions_coordinates_and_units(published: Published, engine: str) -> None:
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(published.file, engine=engine) as data:
        field = data["temperature"]
        assert field.dims == ("step", "y", "x")
        assert field.sizes == {"step": 3, "y": 40, "x": 64}
        assert tuple(data["step"].values) == STEPS
        assert set(field.coords) == {"step", "time", "y", "x"}
        assert field.attrs["units"] == "1"
        assert data["heat"].dims == ("step",)
        assert data.attrs["run"] == RUN
