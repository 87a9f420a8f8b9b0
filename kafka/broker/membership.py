"""Where the nodes of a Kafka are, and which of them this one is."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where others reach a node.

    Parameters
    ----------
    host
        Name or address of the interface that it listens on.
    port, controller_port
        For clients and brokers, and for the quorum of controllers.
    """

    host: str
    port: int
    controller_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One node among `addresses`, counted from 1; alone where there is no other."""

    number: int = 1
    addresses: Sequence[Address]

    @property
    def address(self) -> Address:
        """Where this node is."""
        return self.addresses[self.number - 1]

    @property
    def is_alone(self) -> bool:
        """Whether there is no other node."""
        return len(self.addresses) == 1

    @property
    def bootstrap_servers(self) -> str:
        """What clients set as ``bootstrap.servers``: every node, so that any may be away."""
        return ",".join(f"{address.host}:{address.port}" for address in self.addresses)
