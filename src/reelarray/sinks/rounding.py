"""Floats with fewer bits of mantissa: as many digits as mean something, and zeros that compress away."""

from __future__ import annotations

import numpy as np

_BATCH = 65536  # values that stay in cache


def mantissa_bits(dtype: np.dtype) -> int:
    """Bits of mantissa of a float, or of each part of a complex number.

    >>> mantissa_bits(np.dtype("float32")), mantissa_bits(np.dtype("complex128"))
    (23, 52)
    """
    return int(np.finfo(dtype).nmant)


def round_mantissa(values: np.ndarray, bits: int) -> None:
    """Round floats, in place, to `bits` bits of mantissa: to the nearest, and of two alike to the even one.

    At most 2^-(bits + 1) of the value off. NaN and infinity stay, and no finite value becomes infinite: those above the
    largest that can be told are cut, not rounded.

    >>> values = np.array([1.0, 1.3, 100.0, -1.0625], "f4")
    >>> round_mantissa(values, 3)
    >>> values
    array([ 1.  ,  1.25, 96.  , -1.  ], dtype=float32)
    """
    floats = values.reshape(-1).view(values.real.dtype)
    size, whole = floats.dtype.itemsize, np.dtype(f"u{floats.dtype.itemsize}").newbyteorder(floats.dtype.byteorder)
    drop = mantissa_bits(floats.dtype) - bits
    one, half = whole.type(1), whole.type((1 << (drop - 1)) - 1)
    keep = whole.type((1 << 8 * size) - (1 << drop))
    largest = np.array(np.array(np.finfo(floats.dtype).max, floats.dtype).view(whole) & keep, whole).view(floats.dtype)
    for start in range(0, floats.size, _BATCH):
        batch = floats[start : start + _BATCH]
        patterns = batch.view(whole)
        special = ~(np.abs(batch) <= largest)  # NaN, infinity, and what would round up to it
        if special.any():
            kept = np.where(np.isfinite(batch[special]), patterns[special] & keep, patterns[special])
        up = patterns >> whole.type(drop)
        up &= one
        up += half
        patterns += up
        patterns &= keep
        if special.any():
            patterns[special] = kept
