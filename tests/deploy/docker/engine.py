"""A Docker engine to test with: the user's own, or a private one in a network namespace of its own.

The private one needs root and Debian's packages docker.io, debootstrap, iptables and iproute2. It changes nothing of
the machine's network, its published ports exist in its namespace only, and when it is stopped nothing of it runs or
is mounted any more. Its images stay in the cache.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.programs import run
from support.waiting import wait_until

STAND_INS = Path(__file__).parent / "stand_ins"
REAL_IMAGES = "LOCKSTREAM_REAL_IMAGES"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """How to talk to an engine.

    Parameters
    ----------
    env
        Variables for whoever talks to it.
    prefix
        What stands before a command that is to reach the engine's published ports.
    is_private
        Whether it is ours alone, without internet.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    is_private: bool = False

    def docker(self, *words: str | Path, env: Mapping[str, str] | None = None, timeout: float = 120) -> str:
        """Run ``docker …`` and return what it prints; it must succeed."""
        ended = run("docker", *words, env={**self.env, **(env or {})}, timeout=timeout)
        assert ended.returncode == 0, f"docker {' '.join(map(str, words))}:\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def host(
        self, *command: str | Path, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this machine where the published ports are."""
        return run(*self.prefix, *command, env=env, timeout=timeout)


def missing_for_private_engine() -> str:
    """What this machine lacks for an engine of our own; nothing if it can have one."""
    if os.geteuid() != 0:
        return "root"
    tools = {"docker": "docker.io", "debootstrap": "debootstrap", "iptables": "iptables", "ip": "iproute2"}
    return ", ".join(package for tool, package in tools.items() if shutil.which(tool) is None)


def cache_folder() -> Path:
    """Where stand-ins, wheels and the private engine are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "lockstream-test-images"


@contextmanager
def user_engine() -> Iterator[Engine]:
    """The engine that ``docker`` finds by itself, with the real images."""
    yield Engine()


@contextmanager
def private_engine() -> Iterator[Engine]:
    """An engine that is started here and stopped with the block."""
    folder = cache_folder() / "engine"
    with ExitStack() as stack:
        stack.enter_context(_alone(cache_folder()))
        ended = run(STAND_INS / "engine.sh", folder, timeout=300)
        assert ended.returncode == 0, f"the engine cannot be fetched: {ended.stderr}"
        prefix = ("nsenter", f"--net={stack.enter_context(_namespace())}", "--")
        env = {
            "DOCKER_CONFIG": str(folder),
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            "PATH": f"{folder}/bin{os.pathsep}{os.environ['PATH']}",
        }
        stack.enter_context(_daemon(folder, prefix, env))
        yield Engine(env=env, prefix=prefix, is_private=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else uses the cache at the same time: an engine's data belong to one engine."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _namespace() -> Iterator[str]:
    name = f"lockstream-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True, timeout=20)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True, timeout=20)
        yield f"/run/netns/{name}"
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True, timeout=20)


@contextmanager
def _daemon(folder: Path, prefix: Sequence[str], env: Mapping[str, str]) -> Iterator[None]:
    """dockerd; whatever it has mounted is unmounted in the end."""
    _forget_the_dead(folder)
    words = ["dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "-p", folder / "pid"]
    log = folder / "dockerd.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [*prefix, *map(str, words), "-H", env["DOCKER_HOST"]],
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        ) as daemon,
    ):
        try:
            _wait_for_answer(daemon, env, log)
            yield
        finally:
            daemon.terminate()
            try:
                daemon.wait(60)
            except subprocess.TimeoutExpired:
                daemon.kill()
            _unmount_below(folder)


def _forget_the_dead(folder: Path) -> None:
    """Remove what a killed daemon left: the engine takes a process that nobody has buried for a running daemon."""
    for name in ("pid", "exec/containerd/containerd.pid"):
        file = folder / name
        if file.exists() and _is_running(pid := file.read_text().strip()):
            raise AssertionError(f"process {pid} of {file} still runs, from tests that were killed: end it")
        file.unlink(missing_ok=True)
    (folder / "docker.sock").unlink(missing_ok=True)


def _is_running(pid: str) -> bool:
    stat = Path("/proc", pid, "stat")
    name, _, state = stat.read_text().partition(") ") if stat.exists() else ("", "", "Z")
    return ("dockerd" in name or "containerd" in name) and not state.startswith("Z")


def _wait_for_answer(daemon: subprocess.Popen[bytes], env: Mapping[str, str], log: Path) -> None:
    wait_until(
        lambda: daemon.poll() is not None or run("docker", "version", env=env).returncode == 0, limit=60
    )
    assert daemon.poll() is None, f"dockerd ended:\n{log.read_text()[-3000:]}"


def _unmount_below(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((each for each in mounted if each.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", point], check=True, timeout=20)
