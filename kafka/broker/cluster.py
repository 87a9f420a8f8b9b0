"""Three nodes on this machine, each with a folder of its own: to see what becomes of a run when one is lost."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lockstream.kafka.broker import process
from lockstream.kafka.broker.launch import (
    DEFAULT_HEAP,
    Manner,
    await_service,
    end,
    launch_node,
    spawn,
    take_seat,
)
from lockstream.kafka.broker.meeting import Seat
from lockstream.kafka.broker.ports import LOOPBACK
from lockstream.kafka.broker.properties import NOTHING
from lockstream.kafka.broker.state import Running, StateFolder


@contextmanager
def embedded_cluster(
    directory: Path | str,
    size: int = 3,
    *,
    heap: str = DEFAULT_HEAP,
    more: Mapping[str, str] = NOTHING,
) -> Iterator["Cluster"]:
    """Have a cluster on loopback inside a ``with`` block; all its JVMs end with it, and with this process in any case.

    Parameters
    ----------
    directory
        Has, or gets, the folders of the nodes; a second start continues with the data of the first.
    size
        How many nodes: 3, or a larger odd number.
    heap
        Largest heap of each JVM.
    more
        Further lines of each server.properties.

    Enter it, and start nodes again, in a thread that lives as long as the block, best the main one: the kernel ends
    the JVMs with it.

    Raises
    ------
    UserError, FetchFailed, UntrustedJar, BrokerFailed
        As `lifecycle.start` raises them.
    """
    cluster = Cluster(
        Path(directory).absolute(), size, Manner(spawn=process.spawn_tied, heap=heap, more=more)
    )
    try:
        cluster.start_all()
        yield cluster
    finally:
        cluster.stop_all()


class Cluster:
    """The nodes, numbered from 1."""

    def __init__(self, directory: Path, size: int, manner: Manner) -> None:
        self.directory = directory
        self.nodes = range(1, size + 1)
        self._manner = manner
        self._running: dict[int, Running] = {}
        self._seats = {
            number: Seat(folder=directory / "meeting", number=number, size=size) for number in self.nodes
        }
        self._folders = {number: StateFolder(directory / f"node-{number}") for number in self.nodes}

    @property
    def bootstrap_servers(self) -> str:
        """What clients set: every node, also one that is away."""
        return self._seats[1].meet(limit=0).membership.bootstrap_servers

    def is_up(self, number: int) -> bool:
        """Whether that node's process runs."""
        return number in self._running and self._running[number].process.alive()

    def kill(self, number: int) -> None:
        """End a node by SIGKILL, as its machine's failure would; return when it is gone."""
        self._running[number].process.signal(signal.SIGKILL)
        self.stop(number)

    def stop(self, number: int) -> None:
        """End a node in good order."""
        running = self._running.pop(number)
        end(running.process)
        self._folders[number].forget(running)

    def start(self, number: int) -> None:
        """Start a node that was ended, with its data and on its ports; return when it serves clients."""
        self._running[number] = launch_node(self._folders[number], self._manner, self._seats[number])

    def start_all(self) -> None:
        """Start all nodes, which only together come to serve clients."""
        with ExitStack() as starting:
            for number in self.nodes:
                self._folders[number].prepare()
                starting.enter_context(self._folders[number].starting())
                take_seat(self._folders[number], self._seats[number], LOOPBACK)
            met = {number: seat.meet() for number, seat in self._seats.items()}
            for number, (membership, cluster_id, _) in met.items():
                self._running[number] = spawn(self._folders[number], membership, cluster_id, self._manner)
                self._seats[number].take(membership.address, cluster_id, is_formatted=True)
            for number in self.nodes:
                await_service(self._folders[number], self._running[number], met[number].membership)

    def stop_all(self) -> None:
        """End all nodes that run, in good order: at once, because the last one alone could not hand over."""
        for running in self._running.values():
            running.process.signal(signal.SIGTERM)
        for number in list(self._running):
            self.stop(number)
