"""Compression of a tile in the exact form in which HDF5 stores a chunk: byte shuffle, then deflate.

A tile is compressed once, where it is made; it travels and is archived as it is, and every HDF5 reads it
without plug-ins. ISA-L's igzip does the deflating: at the same ratio several times as fast as zlib. Inflating
is left to zlib, as HDF5 does it: igzip also takes streams that zlib refuses, and what is archived must be
readable by every HDF5.
"""

import zlib
from typing import Any

import numpy as np
from isal import isal_zlib

from lockstream.bridge.errors import WireError

CODECS = ("none", "deflate")
LEVEL = 1  # higher levels of igzip cost much and gain little on shuffled floats


def deflate(elements: np.ndarray[Any, Any]) -> bytes:
    """Compress a contiguous array: HDF5's shuffle filter, then its deflate filter (zlib format, RFC 1950)."""
    planes = elements.reshape(-1).view(np.uint8).reshape(-1, elements.itemsize)
    return isal_zlib.compress(np.ascontiguousarray(planes.T), LEVEL)


def inflate(payload: bytes, itemsize: int, raw_size: int) -> bytes:
    """Undo `deflate`, never taking more memory than a few times that of the elements.

    Parameters
    ----------
    payload
        What `deflate` made, or what somebody claims to be that.
    itemsize, raw_size
        Bytes of one element, and of all of them.

    Raises
    ------
    WireError
        If it does not hold exactly `raw_size` bytes.
    """
    inflater = zlib.decompressobj()
    try:
        shuffled = inflater.decompress(payload, raw_size + 1)
    except zlib.error as error:
        raise WireError(f"the value is not deflated data: {error}") from None
    if len(shuffled) != raw_size or not inflater.eof or inflater.unused_data:
        raise WireError(f"the value does not inflate to the {raw_size} bytes that header raw-size says")
    return np.frombuffer(shuffled, np.uint8).reshape(itemsize, -1).T.tobytes()
