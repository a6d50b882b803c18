"""The steps of `trackersteps`, compiled by Numba: the same operations in the same order, and so the same bits.

Imported where a task needs it, never before: that takes a second. Compiled code is kept on disk between processes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from . import trackerlikelihood
from .trackerstart import FEWEST
from .trackersteps import ENOUGH, SPREAD, STEPS

_compile: Any = njit(nogil=True, cache=True, error_model="numpy")
_factor, _reach = _compile(trackerlikelihood.factor), _compile(trackerlikelihood.reach)
_NONE, _HERE, _OUTSIDE, _FIRST = 0, 1, -1, 2  # what a mark says of a pixel; from _FIRST on, the number of its object


@_compile
def _level(x, y, h, mean, factors):  # type: ignore[no-untyped-def]
    a, b, c, d, e, f, top = factors
    u = (x - mean[0]) * a
    v = ((y - mean[1]) - b * u) * c
    w = ((h - mean[2]) - d * u - e * v) * f
    return top - 0.5 * (u * u + v * v + w * w)


@_compile
def follow(cleaned, mean, cov, limits, segment, blend, means, covs):  # type: ignore[no-untyped-def]
    """As `trackersteps.follow`."""
    rows, columns = cleaned.shape[1:]
    marks = np.zeros((rows + 2, columns + 2), np.int32)  # of a frame within a rim of nothing
    stack = np.empty(marks.size, np.int32)
    pixels = np.empty((3, rows * columns))
    level, weight = np.empty(rows * columns), np.empty(rows * columns)
    mean, cov = mean.copy(), cov.copy()
    for k in range(len(cleaned)):
        picture = cleaned[k]
        factors = _factor(cov)
        window = _reach(mean, cov, factors[6], limits[2], rows, columns)
        count = _mark(picture, mean, factors, limits, window, marks)
        if count < FEWEST:
            return k
        if segment:
            _largest(marks, window, stack)
        count = _gather(picture, limits, window, marks, segment, pixels)
        if count < FEWEST:
            return k
        new_mean, new_cov = _improve(pixels[:, :count], mean, cov, level, weight)
        for i in range(3):
            mean[i] = _blended(new_mean[i], mean[i], blend[0])
            for j in range(3):
                cov[i, j] = _blended(new_cov[i, j], cov[i, j], blend[1])
        means[k], covs[k] = mean, cov
    return len(cleaned)


@_compile
def _mark(picture, mean, factors, limits, window, marks):  # type: ignore[no-untyped-def]
    """Mark the pixels of a window that are high enough and likely enough; how many there are."""
    y0, y1, x0, x1 = window
    marks[y0 : y1 + 2, x0 : x1 + 2] = _NONE
    count = 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            h = picture[y, x]
            if limits[0] < h < limits[1] and _level(float(x), float(y), float(h), mean, factors) > limits[2]:
                marks[y + 1, x + 1] = _HERE
                count += 1
    return count


@_compile
def _largest(marks, window, stack):  # type: ignore[no-untyped-def]
    """Mark as `_OUTSIDE` all of a window that is neither the largest object, nor a hole in it."""
    y0, y1, x0, x1 = window
    width = marks.shape[1]
    best, most, number = _FIRST, 0, _FIRST - 1
    for y in range(y0 + 1, y1 + 1):
        for x in range(x0 + 1, x1 + 1):
            if marks[y, x] != _HERE:
                continue
            number += 1
            size, held = 1, 1
            marks[y, x], stack[0] = number, y * width + x
            while held:
                held -= 1
                row, column = stack[held] // width, stack[held] % width
                for i in range(row - 1, row + 2):
                    for j in range(column - 1, column + 2):
                        if marks[i, j] == _HERE:
                            marks[i, j], stack[held] = number, i * width + j
                            held += 1
                            size += 1
            if size > most:
                best, most = number, size
    # The rim of the window holds no object: what is connected with its corner, by edges, is outside.
    marks[y0, x0], stack[0], held = _OUTSIDE, y0 * width + x0, 1
    while held:
        held -= 1
        row, column = stack[held] // width, stack[held] % width
        for side in range(4):
            i, j = row + (side == 1) - (side == 0), column + (side == 3) - (side == 2)
            if y0 <= i <= y1 + 1 and x0 <= j <= x1 + 1 and marks[i, j] != best and marks[i, j] != _OUTSIDE:
                marks[i, j], stack[held] = _OUTSIDE, i * width + j
                held += 1


@_compile
def _gather(picture, limits, window, marks, segment, pixels):  # type: ignore[no-untyped-def]
    """Columns, rows and heights of what was marked into pixels (3, ...), row by row; how many there are."""
    y0, y1, x0, x1 = window
    count = 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            mark, h = marks[y + 1, x + 1], picture[y, x]
            taken = (mark != _OUTSIDE and limits[0] < h < limits[1]) if segment else mark == _HERE
            if taken:
                pixels[0, count], pixels[1, count], pixels[2, count] = x, y, h
                count += 1
    return count


@_compile
def improve(x, y, h, mean, cov):  # type: ignore[no-untyped-def]
    """As `trackersteps.improve`."""
    pixels = np.empty((3, len(x)))
    pixels[0], pixels[1], pixels[2] = x, y, h
    return _improve(pixels, mean.copy(), cov.copy(), np.empty(len(x)), np.empty(len(x)))


@_compile
def _improve(pixels, mean, cov, level, weight):  # type: ignore[no-untyped-def]
    mean, cov, count = mean.copy(), cov.copy(), pixels.shape[1]
    before = math.inf
    _levels(pixels, mean, cov, level)
    for _ in range(STEPS):
        _weigh(pixels, level[:count], weight, mean, cov)
        now = _levels(pixels, mean, cov, level)
        if 0.0 <= now - before < ENOUGH * abs(before):
            break
        before = now
    return mean, cov


@_compile
def _levels(pixels, mean, cov, level):  # type: ignore[no-untyped-def]
    """log N of each pixel into `level`; their sum."""
    factors = _factor(cov)
    total = 0.0
    for i in range(pixels.shape[1]):
        level[i] = _level(pixels[0, i], pixels[1, i], pixels[2, i], mean, factors)
        total += level[i]
    return total


@_compile
def _weigh(pixels, level, weight, mean, cov):  # type: ignore[no-untyped-def]
    """Mean and covariance of pixels that count as much as they are likely, into `mean` and `cov`."""
    highest, count = level.max(), pixels.shape[1]
    whole = x = y = h = 0.0
    for i in range(count):
        each = math.exp(level[i] - highest)
        weight[i] = each
        whole += each
        x += each * pixels[0, i]
        y += each * pixels[1, i]
        h += each * pixels[2, i]
    mean[0], mean[1], mean[2] = x / whole, y / whole, h / whole
    xx = yx = yy = hx = hy = hh = 0.0
    for i in range(count):
        u, v, w, each = pixels[0, i] - mean[0], pixels[1, i] - mean[1], pixels[2, i] - mean[2], weight[i]
        xx += each * u * u
        yx += each * v * u
        yy += each * v * v
        hx += each * w * u
        hy += each * w * v
        hh += each * w * w
    cov[0, 0], cov[1, 1], cov[2, 2] = xx / whole + SPREAD, yy / whole + SPREAD, hh / whole + SPREAD
    cov[0, 1], cov[0, 2], cov[1, 2] = yx / whole, hx / whole, hy / whole
    cov[1, 0], cov[2, 0], cov[2, 1] = cov[0, 1], cov[0, 2], cov[1, 2]


@_compile
def _blended(new, old, share):  # type: ignore[no-untyped-def]
    return new if share == 0.0 else (1.0 - share) * new + share * old
