"""What a sealed file says about itself: where its steps came from and where reading goes on."""

from collections.abc import Sequence

import h5py
import msgspec
import numpy as np

from lockstream.bridge.messages import RunEnded, RunStarted
from lockstream.kafka.archive.ledger import DTYPE, Entry, Outcome
from lockstream.kafka.errors import ArchiveDamaged

UNREADABLE = (OSError, RuntimeError, KeyError, IndexError, TypeError, ValueError, AttributeError, MemoryError)
"""What h5py raises on a damaged file, depending on where the damage is."""

FORMAT = 1
GROUP = "lockstream"


class Source(msgspec.Struct, frozen=True):
    """The log that a file was made from; offsets mean nothing in any other.

    Parameters
    ----------
    run, topic
        Names.
    topic_id, cluster_id
        Kafka's own: a recreated topic or another cluster has other ones.
    """

    run: str
    topic: str
    topic_id: str
    cluster_id: str


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far one partition is accounted for, and what a reader must know to go on from there.

    Parameters
    ----------
    partition, first_offset, next_offset
        The file accounts for ``[first_offset, next_offset)``.
    started, last_step, ended
        The attempt at hand, its last step, and whether it said ``run-ended``.
    """

    partition: int
    first_offset: int
    next_offset: int
    started: RunStarted | None = None
    last_step: int = -1
    ended: RunEnded | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """All that a sealed file says about itself.

    Parameters
    ----------
    source
        The log.
    positions
        One per partition that the file accounts for.
    attempts
        Every attempt that has steps in the file.
    format
        Version of the archive's own layout.
    steered
        How many commands the file has in its table.
    """

    source: Source
    positions: tuple[Position, ...]
    attempts: tuple[RunStarted, ...] = ()
    format: int = FORMAT
    steered: int = 0


_ACCOUNT = msgspec.json.Decoder(Account)


def write_account(file: h5py.File, account: Account, ledger: Sequence[Entry]) -> None:
    """Write account and ledger into the file's ``lockstream`` group."""
    group = file.require_group(GROUP)
    group.create_dataset("account", data=msgspec.json.encode(account).decode(), dtype=h5py.string_dtype())
    rows = np.array([(e.partition, e.first, e.stop, e.outcome, e.attempt, e.step) for e in ledger], DTYPE)
    group.create_dataset("ledger", data=rows)
    # A reason may quote what somebody sent, and HDF5 has no text with NUL in it.
    explained = {n: entry.reason.replace("\x00", "\ufffd") for n, entry in enumerate(ledger) if entry.reason}
    group.create_dataset("explained", data=np.array(list(explained), np.int64))
    reasons = np.array(list(explained.values()), dtype=object)
    group.create_dataset("reason", data=reasons, dtype=h5py.string_dtype())


def read_account(file: h5py.File) -> Account:
    """Read what `write_account` wrote.

    Raises
    ------
    ArchiveDamaged
        If it is not there, not readable or of a later format.
    """
    try:
        text = file[GROUP]["account"][()]
        account = _ACCOUNT.decode(text)
    except (*UNREADABLE, msgspec.MsgspecError) as error:
        raise ArchiveDamaged(f"{file.filename}: no readable account of itself ({error})") from None
    if account.format != FORMAT:
        raise ArchiveDamaged(f"{file.filename}: archive format {account.format}, this program reads {FORMAT}")
    return account


def read_ledger(file: h5py.File) -> list[Entry]:
    """Read the ledger, sorted as it was written.

    Raises
    ------
    ArchiveDamaged
        If it cannot be read.
    """
    try:
        group = file[GROUP]
        reasons = dict(
            zip(group["explained"][()].tolist(), group["reason"].asstr()[()].tolist(), strict=True)
        )
        return [
            Entry(partition, first, stop, Outcome(outcome), attempt, step, reasons.get(row, ""))
            for row, (partition, first, stop, outcome, attempt, step) in enumerate(
                group["ledger"][()].tolist()
            )
        ]
    except UNREADABLE as error:
        raise ArchiveDamaged(f"{file.filename}: its ledger cannot be read ({error!r})") from None
