"""Lossy rounding of floating-point fields, so that what noise does not fill compresses away.

Only on request, per field, with a bound that travels with the data.
"""

from typing import Any

import numpy as np

MANTISSA_BITS = {"f4": 23, "f8": 52}


def relative_error_bound(keep_bits: int) -> float:
    """Largest relative error of a normal number whose mantissa was rounded to `keep_bits` bits."""
    return 2.0 ** -(keep_bits + 1)


def round_mantissa(array: np.ndarray[Any, Any], keep_bits: int) -> None:
    """Round the mantissas of a contiguous float array in place, to nearest, ties to even.

    The bits behind the first `keep_bits` become zero. Infinities and NaN stay what they are, and so do the
    largest numbers where rounding would make them infinite.

    Parameters
    ----------
    array
        float32 or float64, any shape, C-contiguous.
    keep_bits
        Explicit mantissa bits to keep, 1 to 22 or 51.

    Notes
    -----
    The "bit rounding" of M. Klöwer et al., *Compressing atmospheric data into its real information
    content*, Nature Computational Science 1 (2021) 713-724, doi:10.1038/s43588-021-00156-2.
    """
    drop = MANTISSA_BITS[f"f{array.itemsize}"] - keep_bits
    bits = array.reshape(-1).view(f"u{array.itemsize}")
    one = bits.dtype.type(1)
    rounded = bits + ((one << (drop - 1)) - one + ((bits >> drop) & one))
    rounded &= ~((one << drop) - one)
    stays_finite = np.isfinite(array.reshape(-1)) & np.isfinite(rounded.view(array.dtype))
    np.copyto(bits, rounded, where=stays_finite)
