"""Job scripts: what is committed is what `lockstream slurm render` writes, and what no site could use is refused."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.programs import LOCKSTREAM, run

from lockstream.bridge.errors import ConfigurationError
from lockstream.cli.job_scripts import SCRIPTS, Site, render, seconds
from lockstream.cli.slurm import slurm

ROOT = Path(__file__).parents[2]


def test_every_template_is_committed_and_nothing_else() -> None:
    assert {path.stem for path in (ROOT / "slurm").glob("*.sbatch")} == set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_committed_script_is_what_is_rendered_by_default(script: str) -> None:
    text = render(script, Site())
    assert (ROOT / "slurm" / f"{script}.sbatch").read_text() == text, (
        "write it anew: rm FILE, then lockstream slurm render … -o FILE"
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_rendered_script_asks_for_what_it_was_given_and_is_bash(script: str) -> None:
    site = Site(
        nodes=3,
        ntasks=48,
        time="2-0",
        warning=77,
        partition="fat",
        account="p_1",
        config="it's.toml",
        launcher="mpirun",
    )
    text = render(script, site)
    for line in (
        "--nodes=3",
        "--ntasks=48",
        "--time=2-0",
        "--partition=fat",
        "--account=p_1",
        "--signal=B:USR1@77",
    ):
        assert f"#SBATCH {line}" in text
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert """config='it'"'"'s.toml'\n""" in text


@pytest.mark.parametrize(
    ("time", "length"),
    [("90", 5400), ("1:30", 90), ("2:00:00", 7200), ("1-0", 86400), ("1-12:30", 131400), ("0-0:0:7", 7)],
)
def test_slurm_s_ways_of_writing_a_time(time: str, length: int) -> None:
    assert seconds(time) == length


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"time": "0"}, "--time"),
        ({"time": "1:2:3:4"}, "--time"),
        ({"time": "UNLIMITED"}, "--time"),
        ({"time": "-5"}, "--time"),
        ({"time": "2h"}, "--time"),
        ({"nodes": 0}, "--nodes"),
        ({"nodes": 5}, "--ntasks"),
        ({"ntasks": 0}, "--ntasks"),
        ({"time": "5", "warning": 300}, "--warning"),
        ({"warning": 0}, "--warning"),
        ({"partition": "a b"}, "--partition"),
        ({"account": "x\n#SBATCH --exclusive"}, "--account"),
        ({"launcher": "prun"}, "--launcher"),
        ({"brokers": 2}, "--brokers"),
    ],
)
def test_what_no_site_could_use_is_refused(given: dict[str, object], option: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Site(**given)  # type: ignore[arg-type]
    assert option in str(refusal.value)


def test_the_warning_of_a_short_limit_leaves_most_of_it(tmp_path: Path) -> None:
    assert "B:USR1@150 " in render("simulate", Site(time="10"))
    assert "B:USR1@300 " in render("simulate", Site(time="10:00:00"))


def test_a_script_for_three_brokers_can_still_be_submitted_for_one() -> None:
    assert "brokers=${BROKERS:-3}" in render("simulate-with-kafka", Site(brokers=3))


def test_the_command_writes_a_new_file_only(tmp_path: Path) -> None:
    path = tmp_path / "job.sbatch"
    words = ["render", "--kafka", "inside", "--nodes", "2", "-o", str(path)]
    assert CliRunner().invoke(slurm, words).exit_code == 0
    assert path.read_text() == render("simulate-with-kafka", Site(nodes=2))
    again = run(LOCKSTREAM, "slurm", *words)
    assert (again.returncode, "name a new file" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ensemble", "--kafka", "inside"], "external"),
        (["workflow", "--launcher", "mpirun"], "srun"),
        (["--nodes", "0"], "at least one"),
        (["--brokers", "3"], "--kafka inside"),
    ],
)
def test_the_command_refuses_in_one_line(words: list[str], said: str) -> None:
    refused = run(LOCKSTREAM, "slurm", "render", *words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
