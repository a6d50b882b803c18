"""Axes that go on turning: how many half turns must be added to a main axis so that it never jumps."""

from __future__ import annotations

import math

import numpy as np

Carry = tuple[float, int]  # the last orientation that was seen (rad; NaN: none yet), and its half turns

START: Carry = (math.nan, 0)


def unwrap(orientation: np.ndarray, carry: Carry = START) -> tuple[np.ndarray, Carry]:
    """Half turns that make main axes continuous: (n,) [rad] -> (n,) int64, and what the next frames have to know.

    ``orientation + pi * half_turns`` never steps by more than a quarter turn from one valid frame to the next. NaN
    frames are skipped and have the half turns of the frame before. However frames are cut, with the carry handed on,
    the numbers are the same: they are integers, and each step depends on two orientations only.

    Parameters
    ----------
    orientation : main axis, rad, modulo pi; NaN where nothing was found
    carry : what the call for the frames before returned

    Notes
    -----
    Equal to ``numpy.unwrap(2 * orientation) / 2`` over the valid frames, without its growing rounding error. A step of
    exactly a quarter turn stays as it is.

    >>> turns, carry = unwrap(np.array([1.4, np.nan, -1.5, -1.2]))
    >>> turns.tolist(), carry
    ([0, 0, 1, 1], (-1.2, 1))
    >>> unwrap(np.array([1.5]), carry)[0].tolist()
    [0]
    """
    orientation = np.asarray(orientation, float)
    last, turns = carry
    (valid,) = np.nonzero(~np.isnan(orientation))
    if not len(valid):
        return np.full(len(orientation), turns, np.int64), carry
    seen = orientation[valid]
    before = np.concatenate([seen[:1] if math.isnan(last) else [last], seen[:-1]])
    counts = turns - np.cumsum(np.rint((seen - before) / np.pi).astype(np.int64))
    steps = np.concatenate([[turns], counts])
    out = steps[np.cumsum(~np.isnan(orientation))]
    return out, (float(seen[-1]), int(counts[-1]))
