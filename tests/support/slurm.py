"""A private Slurm of two nodes on this machine: real daemons on loopback, no systemd, all state in one folder."""

import os
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.programs import BIN, run
from support.waiting import wait_until

NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
PACKAGES = "apt-get install --no-install-recommends slurm-wlm slurm-wlm-basic-plugins munge"
FREEZER = Path("/sys/fs/cgroup/freezer")
COMPLETED = "COMPLETED"
ENDED = {COMPLETED, "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}

# RequeueExit is not set: a job that comes back has asked for it.
# ReturnToService: a node that was set down stays so until it is resumed.
# cred_expire: a job that is put back into the queue starts only after that.
# FirstJobId: MPICH names shared memory after the job; killed ranks of another cluster's job 1 may have left some.
CONF = """\
ClusterName=private
FirstJobId={first_job}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=100000,bf_interval=1,bf_hetjob_immediate
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=0
KillWait=10
CompleteWait=0
MailProg=/bin/true
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
# Without these lines the daemons listen on every interface; they need a host name that is loopback's.
LOOPBACK = "CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n"
CGROUP = "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nCgroupAutomount=no\n"


def missing_programs() -> list[str]:
    """Which of Slurm's programs are not installed here."""
    return [name for name in PROGRAMS if _program(name) is None]


@dataclass(frozen=True)
class Slurm:
    """The cluster, as its users see it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a user's shell has: the cluster's configuration, and our commands."""
        path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def ask(self, *command: str | Path, cwd: Path | None = None, **environment: str) -> str:
        """Run one of Slurm's commands and return what it prints."""
        done = run(*command, env=self.environment | environment, cwd=cwd, timeout=30)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def sbatch(self, *words: str | Path, cwd: Path, **environment: str) -> str:
        """Submit from a folder with these variables set; return the job's number."""
        return self.ask("sbatch", "--parsable", *words, cwd=cwd, **environment).strip().split(";")[0]

    def states(self, job: str) -> list[str]:
        """State of a job, of each task of an array, of each part of a heterogeneous one."""
        return re.findall(r"JobState=(\w+)", self.ask("scontrol", "show", "job", "-o", job))

    def restarts(self, job: str) -> int:
        """How often it was put back into the queue."""
        return int(re.findall(r"Restarts=(\d+)", self.ask("scontrol", "show", "job", "-o", job))[0])

    def wait(self, job: str, limit: float = 90) -> list[str]:
        """Wait until all of a job has ended, and return how."""
        wait_until(lambda: set(self.states(job)) <= ENDED, limit, pause=0.2)
        return self.states(job)

    @contextmanager
    def without(self, node: str) -> Iterator[None]:
        """Have a node fail at once, and come back at the end."""
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=drill")
        try:
            yield
        finally:
            self.ask("scontrol", "update", f"nodename={node}", "state=resume")
            wait_until(lambda: node in _idle_nodes(self), pause=0.2)


@contextmanager
def private_slurm(folder: Path) -> Iterator[Slurm]:
    """Start it, wait until both nodes are idle, lend it; jobs and daemons end with it."""
    slurm = Slurm(folder)
    _configure(folder)
    with ExitStack() as stack:
        munged = ["--foreground", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket"]
        munged += [f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed"]
        stack.enter_context(_daemon(slurm, "munged", *munged))
        wait_until((folder / "munge.socket").exists)
        stack.enter_context(_daemon(slurm, "slurmctld", "-D"))
        for node in NODES:
            stack.enter_context(_daemon(slurm, "slurmd", "-D", "-N", node))
        wait_until(lambda: _idle_nodes(slurm) == set(NODES), pause=0.1)
        try:
            yield slurm
        finally:
            _end_jobs(slurm)
    for group in FREEZER.glob("slurm_n*"):
        group.rmdir()


def _configure(folder: Path) -> None:
    for name in ("log", "state", *(f"spool/{node}" for node in NODES)):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # munged insists
    (folder / "munge.key").touch(0o600)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    host = socket.gethostname().partition(".")[0]
    is_loopback = socket.gethostbyname(host).startswith("127.")
    # cgroup finds every process of a job; linuxproc loses those whose parent has ended.
    proctrack = "cgroup" if os.access(FREEZER, os.W_OK) else "linuxproc"
    user = Path(folder).owner()
    first = secrets.randbelow(50_000_000) + 1
    conf = CONF.format(
        folder=folder, host=host, user=user, ports=_free_ports(3), proctrack=proctrack, first_job=first
    )
    (folder / "slurm.conf").write_text(conf + (LOOPBACK if is_loopback else ""))
    if proctrack == "cgroup":
        (folder / "cgroup.conf").write_text(CGROUP)


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(closing(socket.create_server(("127.0.0.1", 0)))) for _ in range(number)
        ]
        return [each.getsockname()[1] for each in sockets]


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


@contextmanager
def _daemon(slurm: Slurm, name: str, *words: str) -> Iterator[None]:
    command: Sequence[str] = [_program(name) or name, *words]
    number = len(list((slurm.folder / "log").glob(f"{name}-*.out")))
    with (
        (slurm.folder / "log" / f"{name}-{number}.out").open("w") as out,
        subprocess.Popen(
            command, env=os.environ | slurm.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        ) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _idle_nodes(slurm: Slurm) -> set[str]:
    done = run("sinfo", "-h", "-N", "-o", "%N %T", env=slurm.environment, timeout=30)
    return {line.split()[0] for line in done.stdout.splitlines() if line.split()[1:] == ["idle"]}


def _end_jobs(slurm: Slurm) -> None:
    user = slurm.folder.owner()
    run("scancel", "--user", user, env=slurm.environment, timeout=30)
    wait_until(lambda: not slurm.ask("squeue", "-h").strip(), 60, pause=0.2)
