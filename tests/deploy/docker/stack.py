"""One Compose project of a test's own: its commands, and the programs of this machine that use its Kafka."""

import json
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import CompletedProcess

from deploy.docker.engine import Engine
from deploy.docker.settings import PROJECT
from support.programs import LOCKSTREAM, MPIRUN

PORTS = ("KAFKA_PORT", "KAFKA_PORT_2", "KAFKA_PORT_3", "UI_PORT", "JUPYTER_PORT")


class Stack:
    """A Compose project.

    Parameters
    ----------
    engine
        Where it runs.
    files
        Its Compose files.
    env
        What goes before the lines of .env.
    """

    def __init__(self, engine: Engine, files: Sequence[Path], env: Mapping[str, str]) -> None:
        self.engine, self.env = engine, dict(env)
        self._files = [word for file in files for word in ("--file", str(file))]

    @property
    def servers(self) -> str:
        """The first node's address for programs of this machine."""
        return f"127.0.0.1:{self.env['KAFKA_PORT']}"

    def compose(self, *words: str | Path, timeout: float = 180) -> str:
        """Run ``docker compose …``, which must succeed, and return what it prints."""
        return self.engine.docker("compose", *self._files, *words, env=self.env, timeout=timeout)

    def up(self, *words: str, profiles: Sequence[str] = ()) -> None:
        """Start, and wait until all that has a health check is healthy."""
        named = [word for profile in profiles for word in ("--profile", profile)]
        self.compose(*named, "up", "--detach", "--wait", "--wait-timeout", "120", *words)

    def running(self, service: str) -> list[str]:
        """Ids of a service's running containers."""
        return self.compose("ps", "--quiet", "--status", "running", service).split()

    def health(self, container: str) -> str:
        """What the health check of a container says."""
        return self.engine.docker("inspect", "--format", "{{.State.Health.Status}}", container).strip()

    def lockstream(self, *words: str | Path, timeout: float = 120) -> CompletedProcess[str]:
        """Run this machine's lockstream with the project's Kafka."""
        return self.engine.host(LOCKSTREAM, *words, env=self.host_env, timeout=timeout)

    def simulate(self, run_id: str, *sets: str, timeout: float = 240) -> CompletedProcess[str]:
        """Run the example on this machine, on two ranks."""
        settings = [word for each in (f"run.id={run_id}", *sets) for word in ("--set", each)]
        config = PROJECT / "examples" / "gray_scott.toml"
        command = (MPIRUN, "-n", "2", LOCKSTREAM, "simulate", config, *settings)
        return self.engine.host(*command, env=self.host_env, timeout=timeout)

    def archived(self, run_id: str, archive: Path) -> None:
        """Archive a run to its end."""
        ended = self.lockstream("archive", "follow", "--run", run_id, "--archive", archive)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    @property
    def host_env(self) -> dict[str, str]:
        """Variables for programs of this machine."""
        return {"LOCKSTREAM_KAFKA_BOOTSTRAP_SERVERS": self.servers}

    def verified(self, archive: Path) -> list[dict[str, object]]:
        """What ``archive verify --against-kafka`` says about each run; it must find no fault."""
        ended = self.lockstream("archive", "verify", archive, "--against-kafka", "--json")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        found: list[dict[str, object]] = json.loads(ended.stdout)
        return found


@contextmanager
def stack(engine: Engine, files: Sequence[Path], **env: str) -> Iterator[Stack]:
    """A project with ports and volumes of its own; nothing of it is left after the block."""
    name = f"lockstream-test-{uuid.uuid4().hex[:8]}"
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    made = Stack(engine, files, {"COMPOSE_PROJECT_NAME": name, **ports, **env})
    try:
        yield made
    finally:
        made.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody uses."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
