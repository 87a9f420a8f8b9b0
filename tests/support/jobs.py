"""Job scripts on a private Slurm: one run's folder, its jobs, and what became of it."""

import os
from dataclasses import dataclass
from pathlib import Path

from support.programs import LOCKSTREAM, mpirun, run
from support.slurm import ENDED, Slurm
from support.waiting import wait_until

SCRIPTS = Path(__file__).parents[2] / "slurm"
LIMIT = 150.0  # s; three brokers need half a minute where others have the cores
RUN = """
[run]
id = "reference"
model = "gray-scott"
steps = 20000
[domain]
shape = [64, 64]
spacing = [0.01, 0.01]
[stream]
every = 500
[checkpoint]
every = 1000
"""


@dataclass(frozen=True)
class Jobs:
    """Submits the committed scripts for runs whose files are all in one folder."""

    slurm: Slurm
    folder: Path
    servers: str

    def __post_init__(self) -> None:
        (self.folder / "run.toml").write_text(RUN)

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def submit(self, script: str, *options: str, words: tuple[str, ...] = (), **environment: str) -> str:
        """Submit with these options of sbatch and these words for the script."""
        told = {
            "LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "WORK_FOLDER": str(self.folder),
        } | environment
        path = SCRIPTS / f"{script}.sbatch"
        return self.slurm.sbatch("--ntasks=2", *options, path, "run.toml", *words, cwd=self.folder, **told)

    def output(self, job: str) -> str:
        """What all attempts of a job have printed, or of all tasks of an array."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob(f"lockstream-{job}*.out")))

    def wait_for_checkpoint(self, job: str, run_id: str = "") -> None:
        """Wait until the job's run could go on from somewhere."""
        folder = self.folder / "checkpoints" / (run_id or f"job-{job}")
        wait_until(lambda: any(folder.glob("step-*")) or self._has_ended(job), LIMIT, pause=0.1)
        assert not self._has_ended(job), self.output(job)

    def interrupt(self, job: str) -> None:
        """Give the job's script the signal that Slurm gives before the time limit, in mid-run."""
        self.wait_for_checkpoint(job)
        self.slurm.ask("scancel", "--batch", "--signal=USR1", job)
        wait_until(lambda: self.slurm.restarts(job) == 1 or self._has_ended(job), LIMIT, pause=0.2)
        assert self.slurm.restarts(job) == 1, self.output(job)

    def completes(self, job: str, limit: float = 90) -> None:
        """Wait for the job's end, which must be a good one."""
        assert set(self.slurm.wait(job, limit)) == {"COMPLETED"}, self.output(job)

    def archived(self, run_id: str) -> Path:
        """Archive a run to its end and prove that nothing of it is missing."""
        asked = ("--run", run_id, "--archive", str(self.archive), "--until", "completed")
        self._lockstream("archive", "follow", *asked)
        self._lockstream("archive", "verify", str(self.archive / run_id), "--against-kafka")
        return self.archive / run_id

    def reference(self, run_id: str, *settings: str) -> Path:
        """Archive the same run, made without Slurm and without an interruption."""
        words = [word for setting in (f"run.id={run_id}", *settings) for word in ("--set", setting)]
        command = (LOCKSTREAM, "simulate", self.folder / "run.toml", *words)
        done = mpirun(2, *command, env=self._environment | {"LOCKSTREAM_CHECKPOINT_EVERY": "0"})
        assert done.returncode == 0, done.stderr
        return self.archived(run_id)

    def are_equal(self, first: Path, second: Path) -> None:
        self._lockstream("archive", "diff", str(first), str(second))

    @property
    def _environment(self) -> dict[str, str]:
        return {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": self.servers}

    def _has_ended(self, job: str) -> bool:
        return set(self.slurm.states(job)) <= ENDED

    def _lockstream(self, *words: str) -> None:
        done = run(LOCKSTREAM, *words, env=self._environment)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


def processes_of(job: str) -> list[str]:
    """Command lines of what still runs with that job's number in its environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            is_zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if (
                f"SLURM_JOB_ID={job}".encode() in environment
                and not is_zombie
                and int(folder.name) != os.getpid()
            ):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has just ended, or is somebody else's
    return found
