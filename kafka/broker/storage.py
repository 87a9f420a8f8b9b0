"""Formatting the storage of a new broker, which gives it the id of its cluster."""

import base64
import subprocess
import uuid

from lockstream.kafka.broker.distribution import Kafka
from lockstream.kafka.broker.errors import BrokerFailed
from lockstream.kafka.broker.java import Java
from lockstream.kafka.broker.jvm import environment, format_command
from lockstream.kafka.broker.membership import Membership
from lockstream.kafka.broker.state import StateFolder

_LIMIT = 60.0  # s; under 2 is usual


def format_storage(
    folder: StateFolder, java: Java, kafka: Kafka, membership: Membership, cluster_id: str
) -> None:
    """Make Kafka's storage in the folder, for a node of the cluster of that id.

    Raises
    ------
    BrokerFailed
        Kafka's own tool could not do it.
    """
    # The quorum of one node may grow later; that of several is fixed by server.properties.
    how = ("--standalone",) if membership.is_alone else ()
    command = format_command(java, kafka, folder.properties.name, cluster_id, *how)
    try:
        subprocess.run(
            command,
            cwd=folder.root,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        words = [line for line in (error.stdout + error.stderr).splitlines() if not line.startswith("\tat ")]
        raise BrokerFailed("Kafka could not format its storage", folder.log, words[-10:]) from error
    except subprocess.TimeoutExpired as error:
        raise BrokerFailed(f"Kafka did not format its storage in {_LIMIT:.0f} s", folder.log, []) from error


def new_cluster_id() -> str:
    """Return a random id in Kafka's form: 16 bytes in base64 that do not look like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text
