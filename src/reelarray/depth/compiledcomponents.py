"""The largest component and its moments, compiled by Numba: the numbers of the plain modules, to the bit.

Imported where a task needs it, never before: that takes a second. Compiled code is kept on disk between processes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_compile: Any = njit(nogil=True, cache=True, error_model="numpy")


@_compile
def components(heights, minimum, largest, rim, kept, sums, areas, edge):  # type: ignore[no-untyped-def]
    """As `components.mask` and `moments.sums`; areas of the two largest components; whether what is kept is on the rim.

    Runs of pixels are joined to those of the row before that they touch, the later to the earlier: the first run of a
    component stands for it.
    """
    rows, columns = heights.shape[1:]
    runs = np.empty((rows * (columns // 2 + 1), 3), np.int32)  # row, first column, and the one after the last
    parent, area = np.empty(len(runs), np.int32), np.empty(len(runs), np.int64)
    for k in range(len(heights)):
        kept[k] = False
        sums[k], areas[k], edge[k] = 0, 0, False
        count = _join(heights[k], minimum, runs, parent)
        area[:count] = 0
        for i in range(count):
            parent[i] = parent[parent[i]]  # of what is before it the root is known
            area[parent[i]] += runs[i, 2] - runs[i, 1]
        first = 0
        for i in range(count):
            if area[i] > areas[k, 0]:
                areas[k, 1], areas[k, 0], first = areas[k, 0], area[i], i
            elif area[i] > areas[k, 1]:
                areas[k, 1] = area[i]
        for i in range(count):
            if largest and parent[i] != first:
                continue
            y, x0, x1 = np.int64(runs[i, 0]), np.int64(runs[i, 1]), np.int64(runs[i, 2])
            along = (x1 - x0) * (x0 + x1 - 1) // 2
            sums[k, 0] += x1 - x0
            sums[k, 1] += along
            sums[k, 2] += (x1 - x0) * y
            sums[k, 3] += (x1 - 1) * x1 * (2 * x1 - 1) // 6 - (x0 - 1) * x0 * (2 * x0 - 1) // 6
            sums[k, 4] += along * y
            sums[k, 5] += (x1 - x0) * y * y
            for x in range(x0, x1):
                kept[k, y, x] = True
                edge[k] |= rim[y, x]


@_compile
def _join(frame, minimum, runs, parent):  # type: ignore[no-untyped-def]
    rows, columns = frame.shape
    count, above, begin = 0, 0, 0  # runs; the first of the row before, and of this row
    for y in range(rows):
        row = frame[y]
        most = row[0]
        for x in range(columns):
            most = row[x] if row[x] > most else most
        above, begin = (begin, count) if begin < count and runs[count - 1, 0] == y - 1 else (count, count)
        if most <= minimum:
            continue
        x, touching = 0, above
        while x < columns:
            if row[x] <= minimum:
                x += 1
                continue
            start = x
            while x < columns and row[x] > minimum:
                x += 1
            runs[count, 0], runs[count, 1], runs[count, 2] = y, start, x
            parent[count] = count
            while touching < begin and runs[touching, 2] < start:
                touching += 1
            other = touching
            while other < begin and runs[other, 1] <= x:
                _unite(parent, count, other)
                other += 1
            count += 1
    return count


@_compile
def _unite(parent, one, other):  # type: ignore[no-untyped-def]
    one, other = _root(parent, one), _root(parent, other)
    if one < other:
        parent[other] = one
    else:
        parent[one] = other


@_compile
def _root(parent, i):  # type: ignore[no-untyped-def]
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
