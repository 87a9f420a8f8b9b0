"""Messages that bear a number, so that whoever reads them can tell what is missing, double or out of turn."""

import struct

from lockstream.bridge.errors import WireError

_HEAD = struct.Struct(">Q")


def numbered(number: int, nbytes: int) -> bytes:
    """Return message `number`, of `nbytes`, at least 8."""
    return _HEAD.pack(number).ljust(nbytes, b"\x5a")


def number_of(value: bytes | None) -> int:
    """Return the number that a message bears.

    Raises
    ------
    WireError
        It bears none.
    """
    if value is None or len(value) < _HEAD.size:
        raise WireError(
            f"a message of {len(value or b'')} bytes bears no number: it was not sent by this lab"
        )
    return int(_HEAD.unpack_from(value)[0])
