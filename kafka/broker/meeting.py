"""The shared folder in which the nodes of a cluster tell each other where they are.

Each node writes one small file, whole or not at all, and waits for those of the others; ports need not be agreed upon
beforehand, and a node that comes back takes the seat that it had. One meeting is for one set of addresses: nodes that
have moved to other machines meet in another folder.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from lockstream.bridge.errors import ConfigurationError
from lockstream.kafka.broker.errors import NodesMissing, UnusableFolder
from lockstream.kafka.broker.membership import Address, Membership

LIMIT = 120.0  # s; the nodes of a job start within seconds of each other
_PAUSE = 0.05


class _Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node tells the others.

    Parameters
    ----------
    address
        Where it is.
    cluster_id
        The cluster's id that its storage has, or, where that is new, the one that it would take.
    is_formatted
        Whether its storage has one.
    """

    address: Address
    cluster_id: str
    is_formatted: bool


class Met(NamedTuple):
    """What a node knows after the meeting.

    Parameters
    ----------
    membership
        The nodes, and this one among them.
    cluster_id
        What they agreed upon.
    is_newcomer
        Whether others have the cluster's data and this node has not.
    """

    membership: Membership
    cluster_id: str
    is_newcomer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The place of node `number` of `size` in a meeting's folder.

    Raises
    ------
    ConfigurationError
        There is no such node, or such a number of nodes could not outlive the loss of one of them.
    """

    folder: Path
    number: int
    size: int

    def __post_init__(self) -> None:
        if self.size < 3 or self.size % 2 == 0:
            raise ConfigurationError(
                "--of", self.size, "take 3 nodes (or 5): more than half of them must be there"
            )
        if not 1 <= self.number <= self.size:
            raise ConfigurationError("--node", self.number, f"the nodes are numbered from 1 to {self.size}")

    def address(self) -> Address | None:
        """Return where this node was when it was last started here, or None."""
        card = self._read(self.number)
        return card.address if card else None

    def take(self, address: Address, cluster_id: str, *, is_formatted: bool) -> None:
        """Tell the others where this node is, and what its storage is called or would be."""
        path = self._path(self.number)
        scratch = path.with_suffix(".tmp")
        card = _Card(address=address, cluster_id=cluster_id, is_formatted=is_formatted)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch.write_bytes(msgspec.json.encode(card))
            os.replace(scratch, path)
        except OSError as error:
            cure = "give --cluster a folder that all nodes may write"
            raise UnusableFolder(self.folder, str(error.strerror), cure) from error

    def meet(self, limit: float = LIMIT) -> Met:
        """Wait until all nodes are there.

        Raises
        ------
        NodesMissing
            Not all of them came.
        UnusableFolder
            Their data are of different clusters.
        """
        deadline = time.monotonic() + limit
        while missing := [number for number in self._numbers if self._read(number) is None]:
            if time.monotonic() > deadline:
                raise NodesMissing(self.folder, missing, limit)
            time.sleep(_PAUSE)
        cards = [card for number in self._numbers if (card := self._read(number))]
        known = {card.cluster_id for card in cards if card.is_formatted}
        if len(known) > 1:
            problem = f"its nodes hold the data of different clusters ({', '.join(sorted(known))})"
            raise UnusableFolder(
                self.folder, problem, "give each node its own --dir, or begin with empty ones"
            )
        membership = Membership(number=self.number, addresses=[card.address for card in cards])
        is_newcomer = bool(known) and not cards[self.number - 1].is_formatted
        return Met(membership, known.pop() if known else cards[0].cluster_id, is_newcomer)

    @property
    def _numbers(self) -> range:
        return range(1, self.size + 1)

    def _path(self, number: int) -> Path:
        return self.folder / f"node-{number}-of-{self.size}.json"

    def _read(self, number: int) -> _Card | None:
        path = self._path(number)
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Card)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise UnusableFolder(
                self.folder, f"{path.name} is damaged ({error})", f"delete {path}"
            ) from error
        except OSError as error:
            cure = "give --cluster a folder that all nodes may read"
            raise UnusableFolder(self.folder, str(error.strerror), cure) from error
