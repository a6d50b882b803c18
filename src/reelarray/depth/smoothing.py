"""Smoothing of features where the tracker is unsure of them: a blend over time, forward, then backward.

What stands in a frame where it is unlikely is replaced by what came before, and then by what comes after; where the
tracker is sure nothing changes. Each pass is a recursion of one number a feature, handed from block to block.
"""

from __future__ import annotations

import math

import numpy as np

Carry = np.ndarray  # values (k,) of the row before the block, NaN before the first; None is the same


def weights(level: np.ndarray, low: float, high: float) -> np.ndarray:
    """How far a frame is believed: mean log-likelihood of its pixels (n,) -> (n,), 0 at `low` and below, 1 from `high`.

    NaN, of a frame in which nothing was found, is not believed.

    >>> weights(np.array([-20.0, -12, -5, np.nan]), -16, -8).tolist()
    [0.0, 0.5, 1.0, 0.0]
    """
    return np.clip(np.nan_to_num((level - low) / (high - low), nan=0.0), 0.0, 1.0)


def smooth(values: np.ndarray, weight: np.ndarray, *, filled: bool = False) -> np.ndarray:
    """Features smoothed over a whole recording: (n, k) or (n,), with weights (n,) of `weights` -> the same.

    f[t] = (1 - w[t]) f[t-1] + w[t] f[t] forward, then the same backward. Frames without a value (NaN) take that of the
    nearest frame that has one, the earlier of two, for the time of it; with `filled` they keep what comes of it.

    Parameters
    ----------
    values : positions, lengths, and angles that were unwrapped before: the mean of two directions modulo pi is none

    >>> smooth(np.array([0.0, 4, 8, np.nan]), np.array([1, 0.5, 1, 1.0])).tolist()
    [0.0, 5.0, 8.0, nan]
    """
    rows = values.reshape(len(values), -1).astype(float)
    made, _ = forward(fill(rows), weight)
    made, _ = backward(made, weight)
    return np.where(np.isnan(rows) & (not filled), np.nan, made).reshape(values.shape)


def forward(values: np.ndarray, weight: np.ndarray, carry: Carry | None = None) -> tuple[np.ndarray, Carry]:
    """One pass over a block: (n, k), (n,), what the block before left -> (n, k), and what the next one needs.

    Cut anywhere the numbers are the same, to the bit. Values of NaN, and frames before the first value, pass it by.
    """
    return _pass(values, weight, carry)


def backward(values: np.ndarray, weight: np.ndarray, carry: Carry | None = None) -> tuple[np.ndarray, Carry]:
    """The same from the last row to the first; the carry comes from the block behind."""
    made, carry = _pass(values[::-1], weight[::-1], carry)
    return made[::-1], carry


def _pass(values: np.ndarray, weight: np.ndarray, carry: Carry | None) -> tuple[np.ndarray, Carry]:
    out = np.empty(values.shape)
    after = np.full(values.shape[1], np.nan)
    shares = weight.tolist()
    for column in range(values.shape[1]):
        before = math.nan if carry is None else float(carry[column])
        made = []
        for value, share in zip(values[:, column].tolist(), shares, strict=True):
            if before == before and value == value:  # neither is NaN
                before = (1.0 - share) * before + share * value
            elif value == value:
                before = value
            made.append(before)
        out[:, column], after[column] = made, before
    return out, after


# ---- the nearest frame that has a value ------------------------------------------------------------------------------


def fill(values: np.ndarray) -> np.ndarray:
    """(n, k) with NaN -> (n, k): each NaN becomes the value of its column in the nearest row, the earlier of two.

    A column of NaN stays as it is.

    >>> fill(np.array([[np.nan], [1], [np.nan], [np.nan], [np.nan], [5]])).ravel().tolist()
    [1.0, 1.0, 1.0, 1.0, 5.0, 5.0]
    """
    earlier, _ = seen(values)
    later, _ = seen(values[::-1])
    return nearest(earlier, later[::-1])


def seen(values: np.ndarray, carry: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The last value up to each row of a block, and how many rows ago: (n, k), carry (2, k) -> (n, 2, k), carry.

    (NaN, inf) where there was none yet. With rows and blocks turned round it is the next value, and how far it is.
    """
    carry = (
        np.stack([np.full(values.shape[1], math.nan), np.full(values.shape[1], math.inf)]) if carry is None else carry
    )
    rows = np.arange(len(values))
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows[:, None]), axis=0)
    found = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    ago = np.where(last < 0, carry[1] + 1 + rows[:, None], rows[:, None] - last)
    out = np.stack([np.where(last < 0, carry[0], found), ago], axis=1)
    return out, (out[-1].copy() if len(out) else carry)


def nearest(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """The nearer of two of what `seen` gives, the earlier of equals: (n, 2, k) twice -> (n, k)."""
    return np.where(earlier[:, 1] <= later[:, 1], earlier[:, 0], later[:, 0])
