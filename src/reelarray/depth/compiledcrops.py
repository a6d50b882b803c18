"""The sampling of `cropping`, and what is counted in crops, compiled by Numba: the same integers.

Imported where a task needs it, never before: that takes a second. Compiled code is kept on disk between processes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .cropping import BITS, FINE

_compile: Any = njit(nogil=True, cache=True, error_model="numpy")

_ONE = np.int64(1 << BITS)
_REST = np.int64(_ONE - 1)
_SHIFT = np.int64(FINE - BITS + 1)
_HALF = np.int64(1 << FINE - BITS)
_BELOW_HALF = np.int64((1 << 2 * BITS - 1) - 1)


@_compile
def sample(heights, cleaned, mask, placements, frames, cleaned_crops, mask_crops):  # type: ignore[no-untyped-def]
    """As `cropping.sample` of three stacks, the third (bool) by its nearest pixels."""
    for k in range(len(placements)):
        sample_frame(heights[k], cleaned[k], mask[k], placements[k], frames[k], cleaned_crops[k], mask_crops[k])


@_compile
def sample_frame(heights, cleaned, mask, place, frame, cleaned_crop, mask_crop):  # type: ignore[no-untyped-def]
    """One frame (y, x) of each stack -> its crop (rows, columns), for loops that have made `placements`."""
    rows, columns = heights.shape
    size_rows, size_columns = frame.shape
    cosine, sine = place[2], place[3]
    for row in range(size_rows):
        v = np.int64(2 * row - (size_rows - 1))
        start = np.int64(size_columns - 1)
        at_x = 2 * place[0] + _HALF + v * sine - start * cosine
        at_y = 2 * place[1] + _HALF + v * cosine + start * sine
        for column in range(size_columns):
            x, y = at_x >> _SHIFT, at_y >> _SHIFT
            at_x += 2 * cosine
            at_y -= 2 * sine
            i, j = y >> BITS, x >> BITS
            if i < -1 or j < -1 or i >= rows or j >= columns:
                frame[row, column] = 0
                cleaned_crop[row, column] = 0
                mask_crop[row, column] = 0
                continue
            right, down = x & _REST, y & _REST
            near_i, near_j = i + (down >> (BITS - 1)), j + (right >> (BITS - 1))
            if 0 <= i < rows - 1 and 0 <= j < columns - 1:
                mask_crop[row, column] = mask[near_i, near_j]
                frame[row, column] = _between(
                    heights[i, j], heights[i, j + 1], heights[i + 1, j], heights[i + 1, j + 1], right, down
                )
                cleaned_crop[row, column] = _between(
                    cleaned[i, j], cleaned[i, j + 1], cleaned[i + 1, j], cleaned[i + 1, j + 1], right, down
                )
            else:
                mask_crop[row, column] = _pixel(mask, near_i, near_j)
                frame[row, column] = _at_border(heights, i, j, right, down)
                cleaned_crop[row, column] = _at_border(cleaned, i, j, right, down)


@_compile
def _between(a, b, c, d, right, down):  # type: ignore[no-untyped-def]
    """Pixels left, right, and those below -> their bilinear mean, from halves to the even integer."""
    above = (_ONE - right) * np.int64(a) + right * np.int64(b)
    below = (_ONE - right) * np.int64(c) + right * np.int64(d)
    total = (_ONE - down) * above + down * below
    return (total + _BELOW_HALF + ((total >> 2 * BITS) & 1)) >> 2 * BITS


@_compile
def _at_border(frame, i, j, right, down):  # type: ignore[no-untyped-def]
    return _between(
        _pixel(frame, i, j),
        _pixel(frame, i, j + 1),
        _pixel(frame, i + 1, j),
        _pixel(frame, i + 1, j + 1),
        right,
        down,
    )


@_compile
def _pixel(frame, i, j):  # type: ignore[no-untyped-def]
    """A pixel, 0 outside of the frame."""
    inside = 0 <= i < frame.shape[0] and 0 <= j < frame.shape[1]
    return np.int64(frame[i, j]) if inside else np.int64(0)


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
