"""Crops compiled by Numba: the whole numbers of `cropping`, one transform for heights, cleaned heights and mask.

Imported where a task needs it, never before: that takes a second. Compiled code is kept on disk between processes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .cropping import BITS, FINE

_compile: Any = njit(nogil=True, cache=True, error_model="numpy")
_ONE, _HALF = 1 << BITS, 1 << BITS - 1
_DOWN = FINE - BITS + 1  # positions come in units of 2^-25, see `cropping.pixels`
_MIDDLE, _REST = 1 << 2 * BITS - 1, (1 << 2 * BITS) - 1


@_compile
def sample(raw, cleaned, mask, placements, raw_crops, cleaned_crops, mask_crops):  # type: ignore[no-untyped-def]
    """As `cropping.sample` of the three, (n, y, x) each, into crops (n, rows, columns); the mask by nearest pixels."""
    rows, columns = raw.shape[1:]
    height, width = raw_crops.shape[1:]
    for k in range(len(raw)):
        x, y, cosine, sine = placements[k]
        shift = 1 << (_DOWN - 1)
        for i in range(height):
            v, u = 2 * i - (height - 1), -(width - 1)
            fine_x, fine_y = 2 * x + shift + v * sine + u * cosine, 2 * y + shift + v * cosine - u * sine
            for j in range(width):
                at_x, at_y = fine_x >> _DOWN, fine_y >> _DOWN
                fine_x, fine_y = fine_x + 2 * cosine, fine_y - 2 * sine
                left, top = at_x >> BITS, at_y >> BITS
                if left < -1 or top < -1 or left >= columns or top >= rows:
                    raw_crops[k, i, j], cleaned_crops[k, i, j], mask_crops[k, i, j] = 0, 0, False
                    continue
                right, down = at_x & (_ONE - 1), at_y & (_ONE - 1)
                raw_crops[k, i, j] = _bilinear(raw[k], left, top, right, down)
                cleaned_crops[k, i, j] = _bilinear(cleaned[k], left, top, right, down)
                near_x, near_y = (at_x + _HALF) >> BITS, (at_y + _HALF) >> BITS
                inside = (near_x >= 0) & (near_x < columns) & (near_y >= 0) & (near_y < rows)
                mask_crops[k, i, j] = mask[k, near_y, near_x] if inside else False


@_compile
def _bilinear(frame, left, top, right, down):  # type: ignore[no-untyped-def]
    """The value right of and below a pixel, by fractions in units of 2^-16; from halves to the even integer."""
    rows, columns = frame.shape
    if left >= 0 and top >= 0 and left < columns - 1 and top < rows - 1:
        a, b = np.int64(frame[top, left]), np.int64(frame[top, left + 1])
        c, d = np.int64(frame[top + 1, left]), np.int64(frame[top + 1, left + 1])
    else:
        a, b = _value(frame, top, left), _value(frame, top, left + 1)
        c, d = _value(frame, top + 1, left), _value(frame, top + 1, left + 1)
    if a | b | c | d == 0:
        return np.int64(0)
    total = (_ONE - down) * ((_ONE - right) * a + right * b) + down * ((_ONE - right) * c + right * d)
    whole = (total + _MIDDLE) >> 2 * BITS
    return whole - (whole & 1) if total & _REST == _MIDDLE else whole


@_compile
def _value(frame, y, x):  # type: ignore[no-untyped-def]
    rows, columns = frame.shape
    return np.int64(frame[y, x]) if (y >= 0) & (y < rows) & (x >= 0) & (x < columns) else np.int64(0)


@_compile
def count(crops, minimum, maximum, area, total):  # type: ignore[no-untyped-def]
    """As `looking._count`: pixels between both heights, exclusive, and the sum of their heights, (n,) int64 each."""
    for k in range(len(crops)):
        flat = crops[k].ravel()
        found, sum_of = np.int32(0), np.int64(0)
        for i in range(len(flat)):
            here = (flat[i] > minimum) & (flat[i] < maximum)
            found += np.int32(here)
            sum_of += np.int64(flat[i]) if here else np.int64(0)
        area[k], total[k] = found, sum_of
