"""Choosing the broker's ports on the interface that it listens on, by default loopback."""

import random
import socket
import time

from lockstream.kafka.broker.errors import PortTaken, UnusableHost

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 9092
# Below the range from which Linux takes the ports of outgoing connections: a port recorded today
# is then unlikely to be somebody's connection at the next start.
_FREE_RANGE = range(20_000, 30_000)
ENDING_SECONDS = 3.0  # a killed JVM may hold its port for so long


def choose_port(wanted: int | None, recorded: int | None, host: str = LOOPBACK) -> int:
    """Return the port that the broker shall listen on.

    Parameters
    ----------
    wanted
        What the user asked for; 0 for any free port (the recorded one if it is), None for no wish.
    recorded
        The port of the folder's last start, or None. Clients may know it, so it is kept.
    host
        Name or address of the interface.

    Raises
    ------
    PortTaken
        The wanted port, or without a wish the recorded one, is in use.
    UnusableHost
        `host` is not this machine's.
    """
    fixed = wanted or recorded
    if fixed and (is_free(fixed, host) or (fixed == recorded and _is_let_go(fixed, host))):
        return fixed
    if fixed and wanted != 0:
        raise PortTaken(fixed, host)
    return DEFAULT_PORT if wanted is None and is_free(DEFAULT_PORT, host) else free_port(host=host)


def _is_let_go(port: int, host: str) -> bool:
    """Wait a moment for the port of a broker that was killed just now and still ends."""
    limit = time.monotonic() + ENDING_SECONDS
    while time.monotonic() < limit:
        time.sleep(0.05)
        if is_free(port, host):
            return True
    return False


def free_port(besides: int = 0, host: str = LOOPBACK) -> int:
    """Return a port that nobody listens on, other than `besides`."""
    for port in random.sample(_FREE_RANGE, k=200):
        if port != besides and is_free(port, host):
            return port
    raise PortTaken(_FREE_RANGE.start, host)


def check_host(host: str) -> None:
    """Raise `UnusableHost` unless a server may listen on that interface."""
    with socket.socket() as listener:
        try:
            listener.bind((host, 0))
        except OSError as error:
            raise UnusableHost(host, str(error.strerror)) from error


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server may listen on this port of the interface."""
    with socket.socket() as listener:
        # As the JVM does: connections of a broker that has just ended do not block its port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError:
            return False
    return True
