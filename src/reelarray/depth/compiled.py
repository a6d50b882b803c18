"""Heights and their cleaning, compiled by Numba: the numbers of the plain modules, to the bit.

Imported where a task needs it, never before: that takes a second. Compiled code is kept on disk between processes. No
function holds the interpreter's lock. Loops are over plain rows of memory, so that the compiler makes vectors of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_compile: Any = njit(nogil=True, cache=True, error_model="numpy")


@_compile
def heights(frames, level, least, span, y0, x0, out, high):  # type: ignore[no-untyped-def]
    """As `heights.heights`; `high` (n,) counts pixels above the largest height."""
    rows, columns = level.shape
    counts = np.empty(columns, np.uint16)  # column by column: a sum of each row would not be made in vectors
    one, nothing = np.uint16(1), np.uint16(0)
    for k in range(len(frames)):
        counts[:] = 0
        for y in range(rows):
            depth, floor, made = frames[k, y0 + y, x0 : x0 + columns], level[y], out[k, y]
            for x in range(columns):
                seen = (depth[x] != nothing) & (depth[x] < floor[x])
                height = np.uint16(floor[x] - depth[x])
                over = np.uint16(height - least)
                made[x] = height if seen & (over <= span) else nothing
                counts[x] += one if seen & (height > np.uint16(least + span)) else nothing
        high[k] = counts.sum()


@_compile
def clean(heights, sizes, cable, cable_iterations, tail, turned, tail_iterations, margin, most, highest, out):  # type: ignore[no-untyped-def]
    """As `cleaning.clean_frames`, with medians of `sizes` and runs (., 3) of elements that hold their anchor.

    Nothing of this makes pixels where there were none, so that only the part round what is there is looked at: in flat
    memory, row after row, with `margin` more pixels on all sides. No height is larger than `highest`; `most` is the
    largest value of their type.
    """
    rows, columns = heights.shape[1:]
    size = (rows + 2 * margin) * (columns + 2 * margin) + 2 * margin
    a, b = np.empty(size, out.dtype), np.empty(size, out.dtype)
    low, middle, high = np.empty(size, out.dtype), np.empty(size, out.dtype), np.empty(size, out.dtype)
    counts = np.empty(highest + 1, np.int32)
    for k in range(len(heights)):
        out[k] = 0
        y0, y1, x0, x1 = _window(heights[k], margin)
        width, pitch = x1 - x0, x1 - x0 + 2 * margin
        if y0 == y1:
            continue
        for y in range(y0, y1):
            start = margin + (margin + y - y0) * pitch + margin
            a[start : start + width] = heights[k, y, x0:x1]
        for _ in range(cable_iterations):
            _surround(a, y1 - y0, pitch, margin, most)
            _extreme(a, b, low, middle, high, cable, True, y1 - y0, pitch, margin)
            a, b = b, a
        for reach in sizes // 2:
            _repeat(a, y1 - y0, pitch, margin, reach + 1)  # a square that moves on reads one pixel ahead
            if reach == 1:
                _median(a, b, low, middle, high, y1 - y0, pitch, margin)
            else:
                _median_of_many(a, b, counts, reach, y1 - y0, pitch, margin)
            a, b = b, a
        for _ in range(tail_iterations):
            _surround(a, y1 - y0, pitch, margin, most)
            _extreme(a, b, low, middle, high, tail, True, y1 - y0, pitch, margin)
            a, b = b, a
        for _ in range(tail_iterations):
            _surround(a, y1 - y0, pitch, margin, 0)
            _extreme(a, b, low, middle, high, turned, False, y1 - y0, pitch, margin)
            a, b = b, a
        for y in range(y0, y1):
            start = margin + (margin + y - y0) * pitch + margin
            out[k, y, x0:x1] = a[start : start + width]


@_compile
def _window(frame, margin):  # type: ignore[no-untyped-def]
    """Rows and columns [y0, y1), [x0, x1) of all that is not 0, with a margin within the image."""
    rows, columns = frame.shape
    y0, y1 = rows, 0
    seen = np.zeros(columns, frame.dtype)
    for y in range(rows):
        row = frame[y]
        any_of = row[0]
        for x in range(columns):
            any_of |= row[x]
            seen[x] |= row[x]
        if any_of:
            y0, y1 = min(y0, y), y + 1
    if y1 == 0:
        return 0, 0, 0, 0
    x0, x1 = columns, 0
    for x in range(columns):
        if seen[x]:
            x0, x1 = min(x0, x), x + 1
    return max(y0 - margin, 0), min(y1 + margin, rows), max(x0 - margin, 0), min(x1 + margin, columns)


@_compile
def _surround(a, rows, pitch, margin, value):  # type: ignore[no-untyped-def]
    """The margin is `value`."""
    top = margin + margin * pitch
    a[:top] = value
    a[top + rows * pitch :] = value
    for y in range(rows):
        start = top + y * pitch
        for x in range(margin):
            a[start + x] = value
            a[start + pitch - 1 - x] = value


@_compile
def _repeat(a, rows, pitch, margin, reach):  # type: ignore[no-untyped-def]
    """So many pixels of the margin are the border's."""
    top = margin + margin * pitch
    for y in range(rows):
        first, last = top + y * pitch + margin, top + (y + 1) * pitch - margin - 1
        for x in range(1, reach + 1):
            a[first - x], a[last + x] = a[first], a[last]
    for y in range(1, reach + 1):
        a[top - y * pitch : top - (y - 1) * pitch] = a[top : top + pitch]
        last = top + (rows - 1) * pitch
        a[last + y * pitch : last + (y + 1) * pitch] = a[last : last + pitch]


@_compile
def _median(a, out, low, middle, high, rows, pitch, margin):  # type: ignore[no-untyped-def]
    """3 x 3, as `cleaning.median`: the three of each column in order, then the middle of what these leave."""
    top, count = margin + margin * pitch, rows * pitch
    above, here, below = a[top - pitch :], a[top:], a[top + pitch :]
    lows, middles, highs = low[top:], middle[top:], high[top:]
    for i in range(count):
        p, q, r = above[i], here[i], below[i]
        least, most = p if p < q else q, q if p < q else p
        lows[i] = least if least < r else r
        highs[i] = most if most > r else r
        most = most if most < r else r
        middles[i] = least if least > most else most
    made = out[top + 1 :]
    lows1, lows2, middles1, middles2 = low[top + 1 :], low[top + 2 :], middle[top + 1 :], middle[top + 2 :]
    highs1, highs2 = high[top + 1 :], high[top + 2 :]
    for i in range(count - 2):
        p, q, r = lows[i], lows1[i], lows2[i]
        p = p if p > q else q
        p = p if p > r else r
        s, t, u = middles[i], middles1[i], middles2[i]
        least, most = s if s < t else t, t if s < t else s
        most = most if most < u else u
        q = least if least > most else most
        s, t, u = highs[i], highs1[i], highs2[i]
        s = s if s < t else t
        r = s if s < u else u
        least, most = p if p < q else q, q if p < q else p
        most = most if most < r else r
        made[i] = least if least > most else most


@_compile
def _median_of_many(a, out, counts, reach, rows, pitch, margin):  # type: ignore[no-untyped-def]
    """By how often each height occurs in a square that moves along its row (Huang, Yang and Tang, 1979)."""
    side = 2 * reach + 1
    half = side * side // 2
    for y in range(rows):
        first = margin + (margin + y) * pitch + margin
        counts[:] = 0
        for i in range(side):
            start = first + (i - reach) * pitch - reach
            for j in range(side):
                counts[a[start + j]] += 1
        value, lower = 0, 0  # the median, and how many are less
        for x in range(first, first + pitch - 2 * margin):
            while lower > half:
                value -= 1
                lower -= counts[value]
            while lower + counts[value] <= half:
                lower += counts[value]
                value += 1
            out[x] = value
            for i in range(-reach, reach + 1):
                gone, come = a[x + i * pitch - reach], a[x + i * pitch + reach + 1]
                counts[gone] -= 1
                counts[come] += 1
                lower += int(come < value) - int(gone < value)


@_compile
def _extreme(a, out, half, other, row, runs, least, rows, pitch, margin):  # type: ignore[no-untyped-def]
    """The least, or the largest, value under an element, as `cleaning._extreme` finds it."""
    total = (rows + 2 * margin) * pitch + 2 * margin
    top, count, width = margin + margin * pitch, rows * pitch, 1
    halves, made = a, a
    for j in range(len(runs)):
        dy, dx, length = runs[j]
        while 2 * width <= length:
            into = other if width % 3 == 1 else half  # 1, 2, 4, 8, ... are 1, 2, 1, 2, ... modulo 3
            _pairs(halves, halves[width:], into, total - 2 * width + 1, least)
            halves, width = into, 2 * width
        if j == 0 or length != runs[j - 1, 2]:
            made = halves
            if length > width:
                _pairs(halves, halves[length - width :], row, total - length + 1, least)
                made = row
        part = made[top + dy * pitch + dx :]
        if j == 0:
            out[top : top + count] = part[:count]
        else:
            _onto(out[top:], part, count, least)


@_compile
def _pairs(a, b, out, count, least):  # type: ignore[no-untyped-def]
    if least:
        for i in range(count):
            out[i] = a[i] if a[i] < b[i] else b[i]
    else:
        for i in range(count):
            out[i] = a[i] if a[i] > b[i] else b[i]


@_compile
def _onto(out, a, count, least):  # type: ignore[no-untyped-def]
    """As `_pairs` of out and a, in place: told apart, as the compiler makes vectors only of what cannot overlap."""
    if least:
        for i in range(count):
            out[i] = a[i] if a[i] < out[i] else out[i]
    else:
        for i in range(count):
            out[i] = a[i] if a[i] > out[i] else out[i]
